"""Rejects infinite and NaN values, which no setting accepts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

__all__ = ["non_finite_problems"]


def non_finite_problems(plain: dict[str, Any]) -> list[str]:
    """Return a message for each number that is not finite."""
    return [f"{place}={value}: expected a finite number." for place, value in numbers(plain) if not math.isfinite(value)]


def numbers(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Yield ``(dotted key, number)`` for each float in plain containers."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from numbers(inner, f"{place}[{position}]")
    elif isinstance(value, float):
        yield place, value
