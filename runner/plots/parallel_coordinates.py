"""Every trial of a search as a line through its parameters to its objective.

Optuna 5.0's plot draws a missing conditional parameter as a choice "None" and cuts off axis names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from runner.plots.parameters import Parameter
from runner.plots.style import INK, MUTED, label, new_figure, styled

__all__ = ["parallel_coordinates"]

MAP = "viridis"
SPREAD = 0.035
"""Of an axis: how far the lines of one choice are set apart."""


@styled
def parallel_coordinates(
    parameters: Sequence[Parameter],
    values: np.ndarray,
    name: str,
    lower_is_better: bool,
    title: str = "Trials as lines, the best on top",
) -> Figure:
    """One vertical axis a parameter, the objective last. A line is broken where a trial lacks a parameter.

    Args:
        values: (N,) objective of each trial, by which the lines are coloured; trials without one are left
            out.
        lower_is_better: whether lower values are better.
        name: name of the objective.
        parameters: values of each parameter.
        title: title of the figure.
    """
    values = np.asarray(values, dtype=float)
    known = np.isfinite(values)
    width = float(np.clip(2.3 + 1.65 * (len(parameters) + 1), 6.5, 18))
    fig, axes = new_figure(width, 4.4, title=title)
    ax = axes[0, 0]
    goodness = places_of(values, known, lower_is_better)
    columns = [spread(parameter) for parameter in parameters]
    objective = Parameter(name, [v if k else None for v, k in zip(values, known, strict=True)])
    matrix = np.stack([*columns, objective.heights()], axis=1)
    colors = matplotlib.colormaps[MAP](goodness)
    at = np.arange(matrix.shape[1])
    for i in sorted(np.flatnonzero(known), key=lambda i: goodness[i]):
        best = goodness[i] >= 0.9
        draw_line(ax, at, matrix[i], colors[i], 1.7 if best else 0.9, 0.95 if best else 0.55, 2 + goodness[i])
    for place, parameter in enumerate([*parameters, objective]):
        draw_axis(ax, place, parameter)
    lines = [wrapped(parameter.name) for parameter in [*parameters, objective]]
    ax.set_xticks(at, lines, fontsize=8, color=INK)
    ax.set(xlim=(-0.25, len(parameters) + 0.55), ylim=(-0.06, 1.06), yticks=[])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    bar = fig.colorbar(ScalarMappable(Normalize(0, 1), MAP), ax=ax, fraction=0.025, pad=0.02)
    bar.set_ticks([0, 1], labels=["worst", "best"])
    bar.ax.tick_params(labelsize=8, colors=MUTED, length=0)
    bar.outline.set_visible(False)
    return fig


def places_of(values: np.ndarray, known: np.ndarray, lower_is_better: bool) -> np.ndarray:
    """(N,) from 0, the worst, to 1, the best, by rank: an outlier does not take the colours of all others."""
    places = np.zeros(len(values))
    order = np.argsort(-values[known] if lower_is_better else values[known], kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(len(order))
    places[known] = ranks / max(len(order) - 1, 1) if len(order) > 1 else 1.0
    return places


def spread(parameter: Parameter) -> np.ndarray:
    """(N,) heights; trials of one choice lie beside each other instead of on one another."""
    heights = parameter.heights()
    if parameter.choices is None or len(parameter.choices) > 8:
        return heights
    shifted = heights.copy()
    for height in np.unique(heights[np.isfinite(heights)]):
        same = np.flatnonzero(heights == height)
        shifted[same] += np.linspace(-SPREAD, SPREAD, len(same)) if len(same) > 1 else 0.0
    return shifted


def draw_line(
    ax: Axes, at: np.ndarray, heights: np.ndarray, color: Any, width: float, alpha: float, order: float
) -> None:
    ax.plot(at, heights, color=color, linewidth=width, alpha=alpha, zorder=order, solid_capstyle="round")
    alone = [
        i
        for i in np.flatnonzero(np.isfinite(heights))
        if not any(0 <= j < len(heights) and np.isfinite(heights[j]) for j in (i - 1, i + 1))
    ]
    ax.plot(at[alone], heights[alone], "o", color=color, markersize=3, alpha=alpha, zorder=order)
    gaps = np.flatnonzero(np.isnan(heights))
    if len(gaps):  # a faint line bridges the gap
        finite = np.flatnonzero(np.isfinite(heights))
        ax.plot(
            at[finite], heights[finite], ":", color=color, linewidth=0.6, alpha=alpha * 0.5, zorder=order - 1
        )


def draw_axis(ax: Axes, place: int, parameter: Parameter) -> None:
    ax.axvline(place, 0.05, 0.95, color=MUTED, linewidth=0.9, zorder=1)
    for height, text in parameter.ticks():
        ax.text(place + 0.04, height, text, fontsize=7.5, va="center", color=INK, zorder=9,
                bbox={"facecolor": "white", "alpha": 0.72, "edgecolor": "none", "pad": 0.8})  # fmt: skip


def wrapped(name: str) -> str:
    """A dotted or slashed name on two lines, so that neighbours do not touch."""
    for mark in (".", "/"):
        head, found, tail = name.rpartition(mark)
        if found and len(name) > 13:
            return f"{label(head + mark, 18)}\n{label(tail, 18)}"
    return label(name, 18)
