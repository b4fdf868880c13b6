"""Cross-validation: scores and curves of each fold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.plots.style import CYCLE, MUTED, SPLIT_COLORS, label, new_figure, styled

__all__ = ["curves_by_fold", "scores_by_fold"]

Points = Sequence[tuple[int, int, float]]
MAX_COLUMNS = 3


@styled
def scores_by_fold(
    scores: Mapping[str, Mapping[str, Sequence[float]]], title: str = "Scores by fold"
) -> Figure:
    """One panel a metric.

    A dot for each fold and split, a line at the mean, a band of one standard deviation.

    Args:
        scores: metric → split → its value in each fold; NaN where a fold has none.
        title: title of the figure.
    """
    fig, panels = make_panels(len(scores), title)
    for ax, (name, splits) in zip(panels, scores.items(), strict=True):
        for place, (split, values) in enumerate(splits.items()):
            draw_scores(ax, np.asarray(values, dtype=float), split, 0.12 * (place - (len(splits) - 1) / 2))
        ax.set_title(label(name, 40))
        ax.set_xlabel("fold")
        ax.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        ax.margins(x=0.08, y=0.15)
        ax.legend(loc="best")
    return fig


def draw_scores(ax: Axes, values: np.ndarray, split: str, shift: float) -> None:
    color = SPLIT_COLORS.get(split, CYCLE[3])
    ax.plot(np.arange(len(values)) + shift, values, "o", color=color, markersize=5, label=split)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return
    mean = finite.mean()
    ax.axhline(mean, color=color, linewidth=1.0, linestyle="--")
    if len(finite) > 1:
        deviation = finite.std(ddof=1)
        ax.axhspan(mean - deviation, mean + deviation, color=color, alpha=0.10, linewidth=0)


@styled
def curves_by_fold(curves: Mapping[str, Mapping[int, Points]], title: str = "Curves of the folds") -> Figure:
    """One panel a metric, one line a fold.

    Args:
        curves: metric → fold → points (step, epoch counted from 0, value).
        title: title of the figure.
    """
    fig, panels = make_panels(len(curves), title)
    for ax, (name, folds) in zip(panels, curves.items(), strict=True):
        for place, (fold, points) in enumerate(folds.items()):
            array = np.array(points, dtype=float)
            marker = "o" if len(array) <= 30 else None
            color = CYCLE[place % len(CYCLE)]
            ax.plot(
                array[:, 1] + 1,
                array[:, 2],
                color=color,
                alpha=0.85,
                linewidth=1.2,
                marker=marker,
                markersize=3,
                label=f"fold {fold}",
            )
        ax.set_title(label(name, 40))
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        ax.margins(x=0.03, y=0.08)
        if len(folds) <= 10:
            ax.legend(loc="best")
    return fig


def make_panels(count: int, title: str) -> tuple[Figure, list[Axes]]:
    cols = min(max(count, 1), MAX_COLUMNS)
    rows = max(math.ceil(count / cols), 1)
    fig, axes = new_figure({1: 6.0, 2: 9.0, 3: 11.5}[cols], 2.9 * rows + 0.35, rows, cols, title)
    panels = list(axes.flat)
    for ax in panels[count:]:
        ax.set_visible(False)
    if not count:
        panels[0].set_visible(True)
        panels[0].text(0.5, 0.5, "no metric was logged", ha="center", va="center", color=MUTED)
    return fig, panels[:count]
