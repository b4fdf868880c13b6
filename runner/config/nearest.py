"""The nearest valid name to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(name: str, valid: Iterable[str], most: int = 3) -> list[str]:
    """Valid names like ``name``, the likest first."""
    valid = list(dict.fromkeys(valid))
    lowered = {candidate.lower(): candidate for candidate in valid}
    close = difflib.get_close_matches(name.lower(), lowered, n=most, cutoff=0.6)
    found = [lowered[match] for match in close]
    last = name.rpartition(".")[2]
    same_end = [candidate for candidate in valid if candidate.rpartition(".")[2] == last]
    return list(dict.fromkeys([*found, *same_end[:most]]))[:most]


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """``Did you mean 'lr'?``, or a list of what is valid when nothing is near."""
    valid = list(dict.fromkeys(valid))
    close = nearest(name, valid)
    if close:
        return f"Did you mean {' or '.join(repr(match) for match in close)}?"
    if not valid:
        return "It takes none."
    shown = ", ".join(sorted(valid)[:20])
    return f"Valid: {shown}{' …' if len(valid) > 20 else ''}."
