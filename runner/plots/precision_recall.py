"""Precision–recall and ROC curves, one class against the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, class_labels, new_figure, styled

__all__ = ["Ranking", "precision_recall_roc", "rank"]

MAX_NAMED_CURVES = 7


class Ranking:
    """All thresholds of one class's scores.

    Attributes:
        precision, recall, false_positive_rate: (T,), from the strictest threshold to the loosest.
        average_precision: sum of precision × step in recall.
        area: area under the ROC curve.
    """

    def __init__(self, scores: np.ndarray, positive: np.ndarray):
        order = np.argsort(-scores, kind="stable")
        hits = np.asarray(positive, dtype=float)[order]
        # Samples with equal scores are indistinguishable: the threshold comes after the last of them.
        last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
        true_positives = np.cumsum(hits)[last]
        false_positives = 1 + last - true_positives
        self.precision = true_positives / (true_positives + false_positives)
        self.recall = true_positives / hits.sum()
        self.false_positive_rate = false_positives / (len(hits) - hits.sum())
        self.average_precision = float((np.diff(self.recall, prepend=0) * self.precision).sum())
        roc_x, roc_y = np.append(0, self.false_positive_rate), np.append(0, self.recall)
        self.area = float((np.diff(roc_x) * (roc_y[1:] + roc_y[:-1]) / 2).sum())


def rank(probs: np.ndarray, targets: np.ndarray) -> dict[int, Ranking]:
    """Class number → its curves; classes without a positive or without a negative sample have none.

    Args:
        probs: (N, K). Of two classes only the second is ranked: the first mirrors it.
        targets: (N,) class numbers.
    """
    probs, targets = np.nan_to_num(np.asarray(probs, dtype=float)), np.asarray(targets)
    num_classes = probs.shape[1]
    wanted = [1] if num_classes == 2 else range(num_classes)
    return {k: Ranking(probs[:, k], targets == k) for k in wanted if 0 < (targets == k).sum() < len(targets)}


@styled
def precision_recall_roc(
    probs: np.ndarray,
    targets: np.ndarray,
    class_names: Sequence[str] | None = None,
    title: str = "Precision, recall and ROC",
) -> Figure:
    """Both curves side by side. With many classes the hardest are named, the others stay faint.

    Args:
        probs: (N, K).
        targets: (N,) class numbers.
    """
    probs = np.asarray(probs)
    rankings = rank(probs, targets)
    names = class_labels(class_names, probs.shape[1], 22)
    fig, axes = new_figure(9.4, 4.4, 1, 2, title)
    left, right = axes[0]
    _draw_curves(
        left, {k: (r.recall, r.precision, r.average_precision) for k, r in rankings.items()}, names, "AP"
    )
    roc = {
        k: (np.append(0, r.false_positive_rate), np.append(0, r.recall), r.area) for k, r in rankings.items()
    }
    _draw_curves(right, roc, names, "AUC")
    right.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1, zorder=1)
    left.set(xlabel="recall", ylabel="precision")
    right.set(xlabel="false positive rate", ylabel="true positive rate (recall)")
    for ax in (left, right):
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
        ax.set_aspect("equal", adjustable="box")
    return fig


def _draw_curves(
    ax: Axes, curves: dict[int, tuple[np.ndarray, np.ndarray, float]], names: list[str], score: str
) -> None:
    """Curves {class: (x, y, area)}, the smallest area first in the legend."""
    order = sorted(curves, key=lambda k: curves[k][2])
    crowded = len(order) > MAX_NAMED_CURVES
    named = order[: MAX_NAMED_CURVES - 2] if crowded else order
    for k in reversed(order):
        x, y, area = curves[k]
        if k in named:
            color = CYCLE[named.index(k) % len(CYCLE)]
            ax.plot(x, y, color=color, label=f"{names[k]}  {score} {area:.3f}", zorder=3)
        else:
            ax.plot(x, y, color=MUTED, alpha=0.3, linewidth=0.8)
    if not order:
        ax.text(0.5, 0.5, "one class only:\nnothing to rank", ha="center", va="center", color=MUTED)
        return
    mean = np.mean([area for _, _, area in curves.values()])
    ax.set_title(f"mean {score} {mean:.3f}" if len(order) > 1 else f"{score} {mean:.3f}")
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], loc="lower left" if score == "AP" else "lower right",
              title="hardest classes" if crowded else None, title_fontsize=8)  # fmt: skip
