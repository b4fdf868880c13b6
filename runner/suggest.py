"""Suggests valid names for a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


MIN_SIMILARITY = 0.6
"""Minimum similarity of a suggestion; similarities are difflib ratios, 1 for identical names."""
MAX_GAP = 0.12
"""Maximum difference to the similarity of the best suggestion."""


def nearest(name: str, valid: Iterable[str], most: int = 3, dotted: bool = True) -> list[str]:
    """Return valid names that are similar to ``name``, best first.

    Args:
        name: the mistyped name.
        valid: names to choose from.
        most: maximum number of names returned.
        dotted: whether the last part of a dotted name is compared too. False for files, whose extensions are
            the same.
    """
    ratios: dict[str, float] = {}
    for candidate in valid:
        last = similarity(name.rpartition(".")[2], candidate.rpartition(".")[2]) if dotted else 0.0
        ratios[candidate] = max(similarity(name, candidate), last)
    best = max(ratios.values(), default=0.0)
    ranked = sorted(ratios, key=lambda candidate: -ratios[candidate])
    return [candidate for candidate in ranked if ratios[candidate] >= max(MIN_SIMILARITY, best - MAX_GAP)][
        :most
    ]


def similarity(name: str, other: str) -> float:
    """Similarity from 0 to 1.

    A name that is a word of the other counts as similar: ``factor``, ``backbone_lr_factor``.
    """
    if name != other and len(name) > 2 and name.lower() in other.lower().split("_"):
        return MIN_SIMILARITY
    matcher = difflib.SequenceMatcher(None, name.lower(), other.lower())
    if matcher.real_quick_ratio() < MIN_SIMILARITY:
        return 0.0
    return matcher.ratio()


def did_you_mean(name: str, valid: Iterable[str], dotted: bool = True) -> str:
    """Return ``Did you mean 'lr'?``, or a list of valid names if none is similar.

    Args:
        name: the mistyped name.
        valid: names to choose from.
        dotted: whether the last part of a dotted name is compared too.
    """
    valid = list(dict.fromkeys(valid))
    similar = nearest(name, valid, dotted=dotted)
    if similar:
        return f"Did you mean {' or '.join(repr(match) for match in similar)}?"
    if not valid:
        return "No names are valid here."
    shown = ", ".join(sorted(valid)[:20])
    return f"Valid: {shown}{' …' if len(valid) > 20 else ''}."
