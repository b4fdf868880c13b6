"""Comparison of the statistics that a checkpoint stores with those of the data read now."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["is_same_statistic", "same_statistics"]

TOLERANCE = 1e-5
"""Relative difference of numbers that count as equal: earlier formats computed them in float32."""


def same_statistics(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two states describe the same data.

    Means may differ by a fraction of their standard deviation, other numbers by a fraction of themselves.

    Args:
        before: the state of a data module, from a checkpoint.
        now: its current state, which may have further entries: earlier formats have fewer.
    """
    return all(is_same_statistic(key, before, now) for key in before)


def is_same_statistic(key: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether both mappings have the same value of a key; see `same_statistics`."""
    scale = before.get(f"{key.removesuffix('mean')}std") if key.endswith("mean") else None
    return key in now and is_close(before[key], now[key], scale)


def is_close(before: Any, now: Any, scale: Any = None) -> bool:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return before.keys() == now.keys() and all(is_close(before[key], now[key]) for key in before)
    if isinstance(before, list | tuple) and isinstance(now, list | tuple):
        scales = (
            scale if isinstance(scale, list | tuple) and len(scale) == len(before) else [None] * len(before)
        )
        return len(before) == len(now) and all(map(is_close, before, now, scales))
    if isinstance(before, float) or isinstance(now, float):
        is_number = isinstance(before, int | float) and isinstance(now, int | float)
        distance = TOLERANCE * abs(scale) if isinstance(scale, int | float) else 0.0
        return is_number and math.isclose(before, now, rel_tol=TOLERANCE, abs_tol=distance)
    return bool(before == now)
