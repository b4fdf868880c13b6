"""Rejects infinite and NaN values, which no setting accepts."""

from __future__ import annotations

import math
from typing import Any

from runner.config.leaves import leaves

__all__ = ["non_finite_problems"]


def non_finite_problems(plain: dict[str, Any]) -> list[str]:
    """Return a message for each number that is not finite."""
    return [
        f"{key}={value}: expected a finite number."
        for key, value in leaves(plain)
        if isinstance(value, float) and not math.isfinite(value)
    ]
