"""Common markers for the states of trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from runner.plots.style import CYCLE, MUTED

__all__ = ["BEST_COLOR", "STATE_COLORS", "draw_points", "mark_failed"]

STATE_COLORS = {
    "complete": CYCLE[0],
    "pruned": CYCLE[5],
    "failed": "#b91c1c",
    "lost": CYCLE[3],
    "running": MUTED,
}
BEST_COLOR = CYCLE[1]


def draw_points(ax: Axes, x: np.ndarray, y: np.ndarray, states: Sequence[str], size: float = 22) -> None:
    """A full point for each complete trial, a hollow one for a pruned or running one; failed ones are left out."""
    kinds = np.array(states)
    for state in ("pruned", "running", "complete"):
        chosen = (kinds == state) & np.isfinite(x) & np.isfinite(y)
        if not chosen.any():
            continue
        color = STATE_COLORS[state]
        face = color if state == "complete" else "none"
        ax.scatter(x[chosen], y[chosen], s=size, facecolors=face, edgecolors=color, linewidths=0.9, alpha=0.85,
                   label=state, zorder=3)  # fmt: skip


def mark_failed(ax: Axes, x: np.ndarray, states: Sequence[str]) -> None:
    """A cross at the foot of the axes for each trial that failed: it has no value to stand at."""
    chosen = (np.array(states) == "failed") & np.isfinite(x)
    if chosen.any():
        ax.plot(x[chosen], np.full(chosen.sum(), 0.03), "x", color=STATE_COLORS["failed"], markersize=5.5,
                transform=ax.get_xaxis_transform(), label="failed", clip_on=False, zorder=3)  # fmt: skip
