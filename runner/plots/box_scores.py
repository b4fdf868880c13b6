"""Average precision and precision–recall curves of boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, class_labels, new_figure, styled

__all__ = ["average_precision_bars", "box_precision_recall"]

MAX_CLASSES = 40
NUM_WORST, NUM_BEST = 25, 10


@styled
def average_precision_bars(
    class_map: np.ndarray,
    class_map_50: np.ndarray,
    counts: np.ndarray,
    class_names: Sequence[str] | None = None,
    title: str = "Average precision by class",
) -> Figure:
    """AP as bars, sorted with the worst class on top; AP at IoU 0.5 as a mark.

    Classes without targets are omitted. With more than 40 classes, only the 25 worst and the 10 best are
    drawn.

    Args:
        class_map: (K,), mean over IoU 0.50 to 0.95; NaN for classes without targets.
        class_map_50: (K,), at IoU 0.50.
        counts: (K,), number of target boxes.
        class_names: names of the classes, in the order of their ids.
        title: title of the figure.
    """
    there = np.flatnonzero(np.isfinite(class_map))
    order = there[np.argsort(class_map[there], kind="stable")]
    places = np.arange(len(order), dtype=float)
    cut = len(order) > MAX_CLASSES
    if cut:
        between = len(order) - NUM_WORST - NUM_BEST
        order = np.concatenate([order[:NUM_WORST], order[-NUM_BEST:]])
        places = np.arange(len(order)) + (np.arange(len(order)) >= NUM_WORST).astype(float)
    fig, axes = new_figure(7.0, 1.5 + 0.25 * max(len(order), 2), title=title)
    ax = axes[0, 0]
    if not len(order):
        ax.text(0.5, 0.5, "there was nothing to find", ha="center", va="center", color=MUTED)
        return fig
    ax.barh(places, class_map[order], height=0.62, color=CYCLE[0], alpha=0.85, label="AP at IoU 0.50–0.95")
    ax.plot(class_map_50[order], places, "o", color=CYCLE[1], markersize=5.5, markeredgecolor="white",
            markeredgewidth=0.8, clip_on=False, label="AP at IoU 0.50")  # fmt: skip
    names = class_labels(class_names, len(class_map), 34)
    ax.set_yticks(places, [names[i] for i in order])
    for place, i in zip(places, order, strict=True):
        ax.text(1.02, place, f"{class_map[i]:.3f}   n = {counts[i]}", va="center", fontsize=7, color=MUTED,
                transform=ax.get_yaxis_transform())  # fmt: skip
    if cut:
        ax.text(0.01, NUM_WORST, f"… {between} classes between", va="center", fontsize=7, color=MUTED)
    mean = np.nanmean(class_map)
    ax.axvline(mean, color=MUTED, linestyle=":", linewidth=1.2, label=f"mean {mean:.3f}")
    ax.set(xlim=(0, 1.0), ylim=(places.max() + 0.7, -0.7))
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return fig


MAX_NAMED = 7
NUM_NAMED = 5


@styled
def box_precision_recall(
    precision: np.ndarray,
    class_names: Sequence[str] | None = None,
    title: str = "Precision and recall of boxes",
) -> Figure:
    """On the left every class at IoU 0.50, with many the hardest ones named.

    On the right the mean of the classes at rising IoU.

    Args:
        precision: (10, R, K) at IoU 0.50, 0.55 … 0.95 and R values of recall from 0 to 1; NaN for classes
            without targets.
        class_names: names of the classes, in the order of their ids.
        title: title of the figure.
    """
    recall = np.linspace(0, 1, precision.shape[1])
    fig, axes = new_figure(9.4, 4.4, 1, 2, title)
    left, right = axes[0]
    draw_classes(left, recall, precision[0], class_labels(class_names, precision.shape[2], 22))
    draw_thresholds(right, recall, precision)
    for ax in (left, right):
        ax.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
        ax.set_aspect("equal", adjustable="box")
    return fig


def draw_classes(ax: Axes, recall: np.ndarray, precision: np.ndarray, names: Sequence[str]) -> None:
    average = precision.mean(0)
    order = [k for k in np.argsort(average, kind="stable") if np.isfinite(average[k])]
    if not order:
        ax.text(0.5, 0.5, "there was nothing to find", ha="center", va="center", color=MUTED)
        return
    crowded = len(order) > MAX_NAMED
    named = order[:NUM_NAMED] if crowded else order
    for k in reversed(order):
        if k in named:
            color = CYCLE[named.index(k) % len(CYCLE)]
            ax.plot(recall, precision[:, k], color=color, label=f"{names[k]}  AP {average[k]:.3f}", zorder=3)
        else:
            ax.plot(recall, precision[:, k], color=MUTED, alpha=0.3, linewidth=0.8)
    ax.set_title(f"IoU 0.50: mean AP {np.mean(average[order]):.3f}")
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], loc="lower left", title="hardest classes" if crowded else None,
              title_fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")  # fmt: skip


def draw_thresholds(ax: Axes, recall: np.ndarray, precision: np.ndarray) -> None:
    there = np.isfinite(precision[0, 0])
    if not there.any():
        return
    means = precision[:, :, there].mean(2)
    for place, color in zip((0, 3, 5, 7, 9), CYCLE, strict=False):
        iou = 0.5 + 0.05 * place
        ax.plot(recall, means[place], color=color, label=f"IoU {iou:.2f}  AP {means[place].mean():.3f}")
    ax.set_title(f"all classes: mean AP {means.mean():.3f}")
    ax.legend(loc="best")
