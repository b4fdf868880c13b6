"""Suggestions for mistyped names in messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Returns ``Did you mean 'price'?``, or the list of valid names if none is similar."""
    lowered = {candidate.lower(): candidate for candidate in valid}
    close = difflib.get_close_matches(str(name).lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {lowered[close[0]]!r}?"
    shown = ", ".join(repr(candidate) for candidate in list(lowered.values())[:20])
    return f"There are: {shown}{' …' if len(lowered) > 20 else ''}." if shown else "There are none."
