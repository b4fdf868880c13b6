"""Intersection over union of every class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, class_labels, new_figure, styled

__all__ = ["class_iou_bars"]

MAX_CLASSES = 60


@styled
def class_iou_bars(
    counts: np.ndarray, class_names: Sequence[str] | None = None, title: str = "IoU by class"
) -> Figure:
    """IoU as bars, sorted with the worst class on top; precision and recall as marks on them.

    Classes that are in neither truth nor prediction have no bar. With more than 60 others the worst 60 are drawn.

    Args:
        counts: of pixels, (K, K), row = truth, column = prediction.
    """
    counts = np.asarray(counts, dtype=float)
    hits, predicted, true = np.diag(counts), counts.sum(0), counts.sum(1)
    union = predicted + true - hits
    there = np.flatnonzero(union)
    iou = hits / np.maximum(union, 1)
    precision, recall = hits / np.maximum(predicted, 1), hits / np.where(true, true, np.nan)
    order = there[np.argsort(iou[there], kind="stable")][:MAX_CLASSES]
    places = np.arange(len(order))
    fig, axes = new_figure(7.0, 1.5 + 0.25 * max(len(order), 2), title=title)
    ax = axes[0, 0]
    ax.barh(places, iou[order], height=0.62, color=CYCLE[0], alpha=0.85, label="IoU")
    marks = {"markersize": 5.5, "markeredgecolor": "white", "markeredgewidth": 0.8, "clip_on": False}
    ax.plot(precision[order], places, "D", color=CYCLE[1], label="precision", **marks)
    ax.plot(recall[order], places, "o", color=CYCLE[5], label="recall", **marks)
    names, total = class_labels(class_names, len(counts), 34), max(counts.sum(), 1)
    ax.set_yticks(places, [names[i] for i in order])
    for place, i in zip(places, order, strict=True):
        ax.text(1.02, place, f"{iou[i]:.3f}   {true[i] / total:.1%} of pixels", va="center", fontsize=7, color=MUTED,
                transform=ax.get_yaxis_transform())  # fmt: skip
    mean = iou[there].mean() if len(there) else 0.0
    ax.axvline(mean, color=MUTED, linestyle=":", linewidth=1.2, label=f"mean IoU {mean:.3f}")
    ax.set(xlim=(0, 1.0), ylim=(max(len(order), 1) - 0.3, -0.7))
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    return fig
