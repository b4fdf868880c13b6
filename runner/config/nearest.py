"""The nearest valid name to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(name: str, valid: Iterable[str], most: int = 3) -> list[str]:
    """Valid names like ``name``, the likest first; of dotted ones the last part may be like it."""
    whole: dict[str, list[str]] = {}
    last: dict[str, list[str]] = {}
    for candidate in dict.fromkeys(valid):
        whole.setdefault(candidate.lower(), []).append(candidate)
        last.setdefault(candidate.rpartition(".")[2].lower(), []).append(candidate)
    found = []
    for text, names in ((name.lower(), whole), (name.rpartition(".")[2].lower(), last)):
        for match in difflib.get_close_matches(text, names, n=most, cutoff=0.6):
            found += names[match]
    return list(dict.fromkeys(found))[:most]


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
