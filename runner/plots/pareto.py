"""The trials of a search for several objectives, and those that no other beats in all of them.

Optuna 5.0 draws three objectives as a single 3-D plot; here each pair of objectives has a panel.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, label, new_figure, styled
from runner.plots.trials import BEST_COLOR

__all__ = ["pareto_front", "pareto_mask"]

NEAR = np.array([0.06, 0.05])
"""Share of the width and height of the axes within which two labels touch."""


def pareto_mask(values: np.ndarray, lower_is_better: Sequence[bool]) -> np.ndarray:
    """(N,) bool: the rows that no other row is at least as good as in all columns, and better in one.

    Args:
        values: (N, M); a row with a value that is not finite is on no front.
        lower_is_better: whether lower values are better.
    """
    values = np.asarray(values, dtype=float).reshape(-1, len(lower_is_better))
    costs = values * np.where(lower_is_better, 1.0, -1.0)
    finite = np.isfinite(costs).all(axis=1)
    front = finite.copy()
    for i in np.flatnonzero(finite):
        others = costs[finite]
        front[i] = not ((others <= costs[i]).all(axis=1) & (others < costs[i]).any(axis=1)).any()
    return front


@styled
def pareto_front(
    numbers: Sequence[int],
    values: np.ndarray,
    names: Sequence[str],
    lower_is_better: Sequence[bool],
    title: str = "Pareto front",
) -> Figure:
    """A panel for each pair of objectives; trials of the front (of all objectives) are filled and numbered.

    Args:
        numbers: (N,) of the complete trials.
        values: (N, M) their objectives.
        lower_is_better: whether lower values are better.
        names: names of the samples.
        title: title of the figure.
    """
    values = np.asarray(values, dtype=float).reshape(-1, len(names))
    front = pareto_mask(values, lower_is_better)
    pairs = list(itertools.combinations(range(len(names)), 2))
    cols = min(len(pairs), 3)
    rows = -(-len(pairs) // cols)
    fig, axes = new_figure({1: 7.0, 2: 10.0, 3: 12.5}[cols], 4.0 * rows + 0.6, rows, cols, title)
    for ax, (i, j) in zip(axes.flat, pairs, strict=False):
        draw_pair(
            ax, values[:, [i, j]], front, numbers, [lower_is_better[i], lower_is_better[j]], len(names) == 2
        )
        ax.set(xlabel=described(names[i], lower_is_better[i]), ylabel=described(names[j], lower_is_better[j]))
    for ax in list(axes.flat)[len(pairs) :]:
        ax.set_visible(False)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3)
    return fig


def described(name: str, lower_is_better: bool) -> str:
    return f"{label(name, 32)} ({'less' if lower_is_better else 'more'} is better)"


def draw_pair(
    ax: Axes,
    values: np.ndarray,
    front: np.ndarray,
    numbers: Sequence[int],
    lower_is_better: Sequence[bool],
    stepped: bool,
) -> None:
    ax.scatter(
        values[~front, 0],
        values[~front, 1],
        s=20,
        facecolors="none",
        edgecolors=MUTED,
        linewidths=0.8,
        label="beaten by another",
    )
    ax.scatter(values[front, 0], values[front, 1], s=34, color=BEST_COLOR, zorder=3, label="on the front")
    ax.margins(0.1)
    if stepped and front.any():
        line = values[front][np.argsort(values[front][:, 0])]
        # Between two trials of the front only the worse of both is known to be reached.
        where: Literal["post", "pre"] = "post" if lower_is_better[0] else "pre"
        ax.step(line[:, 0], line[:, 1], where=where, color=CYCLE[1], linewidth=1.1, alpha=0.7, zorder=2)
    for i in apart(values, np.flatnonzero(front)):
        ax.annotate(
            str(numbers[i]), values[i], xytext=(5, 4), textcoords="offset points", fontsize=7.5, color=MUTED
        )


def apart(values: np.ndarray, chosen: np.ndarray) -> list[int]:
    """Those of the ``chosen`` rows whose labels do not touch each other, as many as can be."""
    spans = np.ptp(values[np.isfinite(values).all(axis=1)], axis=0) if len(values) else np.ones(2)
    scaled = values / np.where(spans > 0, spans, 1.0)
    kept: list[int] = []
    for i in chosen:
        if all((np.abs(scaled[i] - scaled[j]) > NEAR).any() for j in kept):
            kept.append(int(i))
    return kept
