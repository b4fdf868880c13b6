"""Images overlaid with true and predicted masks, and the IoU of every class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from runner.plots.style import CYCLE, MUTED, as_picture, class_labels, label, new_figure, styled

__all__ = ["class_iou_bars", "mask_overlays"]

MAX_CLASSES = 60


@styled
def class_iou_bars(
    counts: np.ndarray, class_names: Sequence[str] | None = None, title: str = "IoU by class"
) -> Figure:
    """IoU as bars, sorted with the worst class on top; precision and recall as marks on them.

    Classes that are in neither truth nor prediction have no bar. With more than 60 others the worst 60 are
    drawn.

    Args:
        counts: of pixels, (K, K), row = truth, column = prediction.
        class_names: names of the classes, in the order of their ids.
        title: title of the figure.
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
        ax.text(
            1.02,
            place,
            f"{iou[i]:.3f}   {true[i] / total:.1%} of pixels",
            va="center",
            fontsize=7,
            color=MUTED,
            transform=ax.get_yaxis_transform(),
        )
    mean = iou[there].mean() if len(there) else 0.0
    ax.axvline(mean, color=MUTED, linestyle=":", linewidth=1.2, label=f"mean IoU {mean:.3f}")
    ax.set(xlim=(0, 1.0), ylim=(max(len(order), 1) - 0.3, -0.7))
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    return fig


STRENGTH = 0.6
MAX_IN_LEGEND = 24
COLUMN_IN = 1.85
PER_ROW = 2
LUMINANCE = np.array([0.299, 0.587, 0.114])


@styled
def mask_overlays(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    preds: Sequence[np.ndarray],
    captions: Sequence[tuple[str, float]],
    class_names: Sequence[str],
    colors: Sequence[Sequence[int]],
    ignore_index: int,
    title: str = "Masks",
) -> Figure | None:
    """Each image, its target and its prediction side by side; two images in a row. None without images.

    Args:
        images: uint8 (H, W, 3) each.
        truths: class ids (H, W) each; where the truth is ``ignore_index`` it is not drawn.
        preds: as ``truths``.
        captions: name and mean IoU of each; a path is cut to its last part.
        colors: red, green and blue of each class, 0 to 255.
        class_names: names of the classes, in the order of their ids.
        ignore_index: class id that does not count.
        title: title of the figure.
    """
    if not images:
        return None
    shown = present(truths, preds, ignore_index)
    ratio = max(min(1.6, image.shape[0] / image.shape[1]) for image in images)
    rows, lines = -(-len(images) // PER_ROW), -(-min(len(shown), MAX_IN_LEGEND) // 6)
    across = min(PER_ROW, len(images))
    height = rows * (COLUMN_IN * ratio + 0.25) + 0.7 + 0.22 * lines
    fig, axes = new_figure(3 * across * COLUMN_IN + 0.3, height, rows, 3 * across, title)
    for ax in axes.flat:
        as_picture(ax)
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colors)] = colors
    cells = axes.reshape(-1, 3)
    for row, image, truth, pred, (name, iou) in zip(cells, images, truths, preds, captions, strict=False):
        draw(row[0], image)
        draw(row[1], tinted(image, truth, table, ignore_index))
        draw(row[2], tinted(image, pred, table))
        row[0].set_xlabel(label(name.replace("\\", "/").rsplit("/", 1)[-1], 26), fontsize=7, labelpad=3)
        row[1].set_xlabel("truth", fontsize=7, labelpad=3)
        row[2].set_xlabel(f"prediction, mean IoU {iou:.2f}", fontsize=7, labelpad=3)
    add_legend(fig, shown, class_labels(class_names, len(class_names), 18), table)
    return fig


def present(truths: Sequence[np.ndarray], preds: Sequence[np.ndarray], ignore_index: int) -> list[int]:
    """Classes in any of the masks."""
    found = np.unique(np.concatenate([np.unique(mask) for mask in (*truths, *preds)]))
    return [int(value) for value in found if value != ignore_index]


def tinted(
    image: np.ndarray, mask: np.ndarray, table: np.ndarray, ignore_index: int | None = None
) -> np.ndarray:
    """The image, uint8 (H, W, 3), under the colours of its mask.

    Grey, so that no colour is the image's own.
    """
    gray = (image @ LUMINANCE)[..., None]
    mixed = ((1 - STRENGTH) * gray + STRENGTH * table[mask]).round().astype(np.uint8)
    return mixed if ignore_index is None else np.where((mask == ignore_index)[..., None], image, mixed)


def draw(ax: Axes, picture: np.ndarray) -> None:
    ax.imshow(picture, interpolation="antialiased" if max(picture.shape[:2]) > 100 else "nearest")


def add_legend(fig: Figure, shown: list[int], names: list[str], table: np.ndarray) -> None:
    patches = [Patch(facecolor=table[i] / 255, label=names[i]) for i in shown[:MAX_IN_LEGEND]]
    if len(shown) > MAX_IN_LEGEND:
        patches.append(Patch(facecolor="none", label=f"and {len(shown) - MAX_IN_LEGEND} more"))
    fig.legend(handles=patches, loc="outside lower center", ncols=min(6, len(patches)), fontsize=7)
