"""Scores, reliability and ranking curves of classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from runner.plots.style import CYCLE, INK, MUTED, class_labels, new_figure, styled

__all__ = [
    "Calibration",
    "Ranking",
    "calibrate",
    "class_scores",
    "precision_recall_roc",
    "rank",
    "reliability_diagram",
    "score_classes",
]

MAX_CLASSES = 40
NUM_WORST, NUM_BEST = 25, 10


def score_classes(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1, each (K,), from a confusion matrix (K, K) with row = truth.

    0 where undefined.
    """
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

    Classes that occur in neither truth nor prediction are left out, and the mean F1 is the mean over the
    others. A class without samples has no mark for recall. With more than 40 classes only the 25 worst and
    the 10 best are drawn.

    Args:
        counts: (K, K), row = truth, column = prediction.
        class_names: names of the classes, in the order of their ids.
        title: title of the figure.
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


GAP_COLOR = "#f6c9a8"


@dataclass(frozen=True)
class Calibration:
    """Confidence against accuracy in bins of equal width.

    Attributes:
        counts, accuracy, confidence: (B,) of each bin; NaN where a bin is empty.
        ece: expected calibration error, the mean gap weighted by the counts (Naeini et al., AAAI 2015).
    """

    counts: np.ndarray
    accuracy: np.ndarray
    confidence: np.ndarray
    ece: float


def calibrate(confidences: np.ndarray, correct: np.ndarray, num_bins: int = 15) -> Calibration:
    """Bin predictions by their confidence.

    Args:
        confidences: (N,) probability given to the predicted class.
        correct: (N,) whether the prediction was right.
        num_bins: number of bins.
    """
    confidences, correct = np.asarray(confidences, dtype=float), np.asarray(correct, dtype=float)
    known = np.isfinite(confidences)
    confidences, correct = confidences[known], correct[known]
    bins = np.minimum((confidences * num_bins).astype(int), num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    with np.errstate(invalid="ignore"):
        accuracy = np.bincount(bins, correct, num_bins) / counts
        confidence = np.bincount(bins, confidences, num_bins) / counts
    filled = counts > 0
    gaps = np.abs(accuracy - confidence)[filled]
    ece = float((gaps * counts[filled]).sum() / max(counts.sum(), 1))
    return Calibration(counts, accuracy, confidence, ece)


@styled
def reliability_diagram(
    confidences: np.ndarray, correct: np.ndarray, num_bins: int = 15, title: str = "Calibration"
) -> Figure:
    """Accuracy of each confidence bin above, how many predictions fall into it below.

    Args:
        confidences: (N,) probability given to the predicted class.
        correct: (N,) whether the prediction was right.
        num_bins: number of bins.
        title: title of the figure.
    """
    result = calibrate(confidences, correct, num_bins)
    fig, axes = new_figure(5.2, 5.4, 2, 1, title, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    above, below = axes[:, 0]
    centers, width = (np.arange(num_bins) + 0.5) / num_bins, 1 / num_bins
    filled = result.counts > 0
    accuracy, gap = result.accuracy[filled], (result.confidence - result.accuracy)[filled]
    above.bar(centers[filled], accuracy, width * 0.94, color=CYCLE[0], label="accuracy")
    above.bar(centers[filled], gap, width * 0.94, accuracy, color=GAP_COLOR, label="gap to confidence")
    above.hlines(
        accuracy, centers[filled] - width * 0.47, centers[filled] + width * 0.47, colors=INK, linewidth=1.6
    )
    above.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1, label="perfectly calibrated")
    above.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share that is right")
    above.set_title(f"expected calibration error {result.ece:.3f}", fontweight="normal", fontsize=9)
    above.legend(loc="upper left")
    below.bar(centers, result.counts / max(result.counts.sum(), 1), width * 0.94, color=MUTED)
    below.set(xlabel="confidence", ylabel="share of\npredictions")
    for axis in (above.yaxis, below.yaxis, below.xaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    return fig


MAX_NAMED_CURVES = 7


class Ranking:
    """All thresholds of one class's scores.

    Attributes:
        precision, recall, false_positive_rate: (T,), from the strictest threshold to the loosest.
        average_precision: sum of precision × step in recall.
        area: area under the ROC curve.
    """

    def __init__(self, scores: np.ndarray, positive: np.ndarray) -> None:
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
        class_names: names of the classes, in the order of their ids.
        title: title of the figure.
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
