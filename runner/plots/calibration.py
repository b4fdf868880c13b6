"""Reliability diagram: accuracy against confidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from runner.plots.style import CYCLE, INK, MUTED, new_figure, styled

__all__ = ["Calibration", "calibrate", "reliability_diagram"]

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
