"""Values of a search parameter and their positions on an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from runner.plots.style import label

__all__ = ["Parameter"]

MAX_CHOICES_SHOWN = 12


@dataclass(frozen=True)
class Parameter:
    """
    Attributes:
        name: such as ``optimizer.lr``.
        values: (N,) one a trial; None where a trial has no such parameter.
        choices: of a categorical parameter, as they are written; None for a number.
        log: whether the parameter is sampled on a logarithmic scale.
    """

    name: str
    values: Sequence[Any]
    choices: Sequence[str] | None = None
    log: bool = False

    @property
    def present(self) -> np.ndarray:
        """(N,) bool: which trials have it."""
        return np.array([value is not None for value in self.values], dtype=bool)

    def positions(self) -> np.ndarray:
        """(N,) float, NaN where a trial has no such parameter: the number itself, or the place of the choice."""
        if self.choices is None:
            return np.array([math.nan if value is None else float(value) for value in self.values])
        places = {choice: float(place) for place, choice in enumerate(self.choices)}
        return np.array([math.nan if value is None else places[str(value)] for value in self.values])

    def heights(self) -> np.ndarray:
        """(N,) positions on an axis of length 1, on which a logarithmic parameter is spread evenly."""
        at = np.log10(self.positions()) if self.log else self.positions()
        low, high = self._ends(at)
        return (at - low) / (high - low) if high > low else np.where(np.isnan(at), math.nan, 0.5)

    def ticks(self) -> list[tuple[float, str]]:
        """(height, text) of the choices, or of both ends and the middle of a number."""
        if self.choices is not None:
            last = max(len(self.choices) - 1, 1)
            step = math.ceil(len(self.choices) / MAX_CHOICES_SHOWN)
            at = [0.5] if len(self.choices) == 1 else [place / last for place in range(len(self.choices))]
            return [(at[i], label(self.choices[i], 16)) for i in range(0, len(self.choices), step)]
        known = np.log10(self.positions()) if self.log else self.positions()
        low, high = self._ends(known)
        if not high > low:
            return [(0.5, number(10**low if self.log else low))]
        whole = all(float(v).is_integer() for v in self.values if v is not None) and not self.log
        heights = (0.0, 1.0) if whole and high - low == 1 else (0.0, 0.5, 1.0)
        return [(h, number(self._back(low + h * (high - low)))) for h in heights]

    def set_axis(self, ax: Axes) -> None:
        """Prepares the x axis of ``ax`` for this parameter."""
        if self.choices is not None:
            longest = max(len(choice) for choice in self.choices)
            slanted = longest * len(self.choices) > 22
            shown = [label(choice, 18) for choice in self.choices]
            ax.set_xticks(
                range(len(shown)), shown, rotation=30 if slanted else 0, ha="right" if slanted else "center"
            )
            ax.set_xlim(-0.6, len(shown) - 0.4)
        elif self.log:
            ax.set_xscale("log")
        ax.set_xlabel(label(self.name, 34))

    def _back(self, value: float) -> float:
        return 10**value if self.log else value

    def _ends(self, known: np.ndarray) -> tuple[float, float]:
        if self.choices is not None:
            return 0.0, float(len(self.choices) - 1)
        finite = known[np.isfinite(known)]
        return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)


def number(value: float) -> str:
    """In three digits, as short as can be: ``0.001``, ``2.5e-05``, ``128``."""
    return f"{value:.3g}" if abs(value) < 1e4 else f"{value:.4g}"
