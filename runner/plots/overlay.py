"""Images overlaid with true and predicted masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from runner.plots.style import as_picture, class_labels, label, new_figure, styled

__all__ = ["mask_overlays"]

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
        truths, preds: class ids (H, W) each; where the truth is ``ignore_index`` it is not drawn.
        captions: name and mean IoU of each; a path is cut to its last part.
        colors: red, green and blue of each class, 0 to 255.
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
    """The image, uint8 (H, W, 3), under the colours of its mask; grey, so that no colour is the image's own."""
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
