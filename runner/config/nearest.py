"""The nearest valid name to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


LIKE = 0.6
"""From here on a name is like another; ratios are difflib's, 1 for the same."""
CLEARLY = 0.12
"""A name so much less like than the likest is not offered beside it."""


def nearest(name: str, valid: Iterable[str], most: int = 3, dotted: bool = True) -> list[str]:
    """Valid names like ``name``, the likest first.

    Args:
        dotted: of names with dots the last part may be like it; not of files, whose last parts are all the same.
    """
    ratios: dict[str, float] = {}
    for candidate in valid:
        last = likeness(name.rpartition(".")[2], candidate.rpartition(".")[2]) if dotted else 0.0
        ratios[candidate] = max(likeness(name, candidate), last)
    best = max(ratios.values(), default=0.0)
    found = sorted(ratios, key=lambda candidate: -ratios[candidate])
    return [candidate for candidate in found if ratios[candidate] >= max(LIKE, best - CLEARLY)][:most]


def likeness(name: str, other: str) -> float:
    """0 to 1; a name that is one of the other's words is like it, too: ``factor`` and ``backbone_lr_factor``."""
    if name != other and len(name) > 2 and name.lower() in other.lower().split("_"):
        return LIKE
    matcher = difflib.SequenceMatcher(None, name.lower(), other.lower())
    if matcher.real_quick_ratio() < LIKE:
        return 0.0
    return matcher.ratio()


def did_you_mean(name: str, valid: Iterable[str], dotted: bool = True) -> str:
    """``Did you mean 'lr'?``, or a list of what is valid when nothing is near."""
    valid = list(dict.fromkeys(valid))
    close = nearest(name, valid, dotted=dotted)
    if close:
        return f"Did you mean {' or '.join(repr(match) for match in close)}?"
    if not valid:
        return "It takes none."
    shown = ", ".join(sorted(valid)[:20])
    return f"Valid: {shown}{' …' if len(valid) > 20 else ''}."
