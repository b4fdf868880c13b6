"""Figures for embeddings: nearest neighbors and a projection to two dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, class_colors, class_labels, label, new_figure, styled

__all__ = ["neighbour_table", "projection"]


@styled
def neighbour_table(
    words: Sequence[str], nearest: Sequence[Sequence[tuple[str, float]]], title: str = "Nearest words"
) -> Figure:
    """One line a word.

    Args:
        nearest: of each word, its neighbours with their cosines, the nearest first.
        title: title of the figure.
        words: the words.
    """
    num_columns = max(map(len, nearest), default=1)
    fig, axes = new_figure(2.0 + 1.45 * num_columns, 0.7 + 0.27 * max(1, len(words)), title=title)
    ax = axes[0, 0]
    ax.set(xlim=(0, num_columns + 1.2), ylim=(len(words), 0))
    ax.axis("off")
    for row, (word, found) in enumerate(zip(words, nearest, strict=True)):
        ax.text(0, row + 0.5, label(word, 18), va="center", color=CYCLE[0], weight="bold")
        for column, (name, cosine) in enumerate(found):
            ax.text(1.2 + column, row + 0.5, label(name, 13), va="center")
            ax.text(
                2.15 + column, row + 0.5, f"{cosine:.2f}", va="center", ha="right", fontsize=6.5, color=MUTED
            )
    return fig


MAX_CLASSES = 20
MAX_NAMES = 60


@styled
def projection(
    points: np.ndarray,
    targets: np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    axes_names: Sequence[str] = ("component 1", "component 2"),
    title: str = "Projection",
) -> Figure:
    """A scatter plot.

    Args:
        points: ``(N, 2)``.
        targets: class of each, ``(N,)``; one color if None. More than twenty classes share one color.
        names: written beside the first points, such as words.
        axes_names: labels of the axes.
        class_names: names of the classes, in the order of their ids.
        title: title of the figure.
    """
    fig, axes = new_figure(7.4, 5.4, title=title)
    ax = axes[0, 0]
    size = 26 if len(points) <= 300 else 9
    num_classes = 0 if targets is None else max(int(targets.max()) + 1, len(class_names or ()))
    if 0 < num_classes <= MAX_CLASSES:
        labels = class_labels(class_names, num_classes, 20)
        for number, color in enumerate(class_colors(num_classes)):
            here = np.asarray(targets) == number
            if here.any():
                ax.scatter(
                    *points[here].T, s=size, color=[color], linewidths=0, alpha=0.7, label=labels[number]
                )
        fig.legend(loc="outside right upper", markerscale=1.6)
    else:
        ax.scatter(*points.T, s=size, color=MUTED, linewidths=0, alpha=0.6)
    for point, name in list(zip(points, names or (), strict=False))[:MAX_NAMES]:
        ax.annotate(label(name, 16), point, fontsize=7, xytext=(2, 2), textcoords="offset points")
    ax.set(xlabel=axes_names[0], ylabel=axes_names[1])
    return fig
