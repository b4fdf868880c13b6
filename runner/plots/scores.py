"""Precision, recall and F1 of every class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, class_labels, new_figure, styled

__all__ = ["class_scores", "score_classes"]

MAX_CLASSES = 40
NUM_WORST, NUM_BEST = 25, 10


def score_classes(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1, each (K,), from a confusion matrix (K, K) with row = truth; 0 where undefined."""
    counts = np.asarray(counts, dtype=float)
    hits, predicted, true = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    precision = hits / np.maximum(predicted, 1)
    recall = hits / np.maximum(true, 1)
    f1 = 2 * hits / np.maximum(predicted + true, 1)
    return precision, recall, f1


@styled
def class_scores(
    counts: np.ndarray, class_names: Sequence[str] | None = None, title: str = "Scores by class"
) -> Figure:
    """F1 as bars, sorted with the worst class on top; precision and recall as marks on them.

    Classes that occur in neither truth nor prediction are left out, and the mean F1 is the mean over the others. A
    class without samples has no mark for recall. With more than 40 classes only the 25 worst and the 10 best are drawn.

    Args:
        counts: (K, K), row = truth, column = prediction.
    """
    counts = np.asarray(counts)
    support = counts.sum(axis=1)
    precision, recall, f1 = score_classes(counts)
    recall = np.where(support, recall, np.nan)
    present = np.flatnonzero(support + counts.sum(axis=0))
    num_classes = len(present)
    order = present[np.argsort(f1[present], kind="stable")]
    places = np.arange(num_classes, dtype=float)
    if num_classes > MAX_CLASSES:
        order = np.concatenate([order[:NUM_WORST], order[-NUM_BEST:]])
        places = np.arange(len(order)) + (np.arange(len(order)) >= NUM_WORST)
    fig, axes = new_figure(7.0, 1.5 + 0.25 * len(order), title=title)
    ax = axes[0, 0]
    ax.barh(places, f1[order], height=0.62, color=CYCLE[0], alpha=0.85, label="F1")
    marks = {"markersize": 5.5, "markeredgecolor": "white", "markeredgewidth": 0.8, "clip_on": False}
    ax.plot(precision[order], places, "D", color=CYCLE[1], label="precision", **marks)
    ax.plot(recall[order], places, "o", color=CYCLE[5], label="recall", **marks)
    names = class_labels(class_names, len(counts), 34)
    ax.set_yticks(places, [names[i] for i in order])
    for place, i in zip(places, order, strict=True):
        ax.text(1.02, place, f"{f1[i]:.3f}   n = {support[i]}", va="center", fontsize=7, color=MUTED,
                transform=ax.get_yaxis_transform())  # fmt: skip
    if num_classes > MAX_CLASSES:
        ax.text(
            0.01,
            NUM_WORST,
            f"… {num_classes - len(order)} classes between",
            va="center",
            fontsize=7,
            color=MUTED,
        )
    ax.set(xlim=(0, 1.0), ylim=(places.max(initial=0) + 0.7, -0.7))
    mean = f1[present].mean() if num_classes else 0.0
    ax.axvline(mean, color=MUTED, linestyle=":", linewidth=1.2, label=f"mean F1 {mean:.3f}")
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    return fig
