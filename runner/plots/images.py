"""Grids of images: samples, and the most confidently wrong predictions."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, INK, MUTED, as_picture, class_labels, label, new_figure, styled

__all__ = [
    "are_images",
    "drawable",
    "image_grid",
    "most_wrong",
    "most_wrong_texts",
    "sample_grid",
    "select_most_wrong",
]

CHANNELS = (1, 3, 4)


def are_images(inputs: np.ndarray | Sequence[np.ndarray]) -> bool:
    """Whether inputs can be drawn: (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels."""
    if len(inputs) == 0:
        return False
    shape = np.shape(inputs[0])
    return (len(shape) == 2 and min(shape) > 1) or (
        len(shape) == 3 and (shape[-1] in CHANNELS or shape[0] in CHANNELS)
    )


def drawable(image: np.ndarray) -> np.ndarray:
    """One image as floats in [0, 1]: (H, W) for grey, (H, W, 3) for colour.

    Integers are taken as 8 bit. Floats outside [0, 1] (normalised images) are stretched to fill it.
    """
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] not in CHANNELS:
        image = np.moveaxis(image, 0, -1)
    values: np.ndarray = image.astype(np.float32)
    if np.issubdtype(image.dtype, np.integer):
        values = values / 255
    values = np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low < -1e-3 or high > 1 + 1e-3:
        values = (values - low) / max(high - low, 1e-8)
    values = values.clip(0, 1)
    if values.ndim == 3:
        values = values[..., 0] if values.shape[-1] == 1 else values[..., :3]
    return values


def image_grid(
    images: np.ndarray | Sequence[np.ndarray],
    captions: Sequence[str],
    title: str,
    cols: int = 6,
    caption_lines: int = 1,
) -> Figure:
    """Images in rows of `cols`, each with a caption of `caption_lines` short lines below it."""
    cols = min(cols, max(len(images), 3))
    rows = math.ceil(len(images) / cols)
    cell_in, line_in = 1.55, 0.15
    fig, axes = new_figure(
        cols * cell_in, rows * (cell_in + caption_lines * line_in) + 0.4, rows, cols, title
    )
    for ax in axes.flat:
        as_picture(ax)
    for ax, image, caption in zip(axes.flat, images, captions, strict=False):
        values = drawable(image)
        # Interpolation would blur small images such as digits.
        smooth = "antialiased" if max(values.shape[:2]) > 100 else "nearest"
        ax.imshow(values, cmap="gray", vmin=0, vmax=1, interpolation=smooth)
        ax.set_xlabel(caption, fontsize=7, labelpad=3, linespacing=1.25)
    return fig


@styled
def sample_grid(
    images: np.ndarray | Sequence[np.ndarray],
    labels: Sequence[str],
    title: str = "Training samples after augmentation",
    limit: int = 24,
) -> Figure | None:
    """A grid of images with their labels; None if inputs are no images.

    Args:
        images: (N, H, W, C) or (N, C, H, W), or a list of single images that differ in size.
        labels: (N,) what stands below each: a class name, a number.
        limit: maximum number drawn.
        title: title of the figure.
    """
    if not are_images(images):
        return None
    return image_grid(images[:limit], [label(text, 22) for text in labels[:limit]], title)


def select_most_wrong(
    probs: np.ndarray, targets: np.ndarray, preds: np.ndarray | None = None, limit: int = 24
) -> np.ndarray:
    """Indices of at most `limit` wrong predictions, the largest loss (least probable truth) first.

    Args:
        probs: (N, K).
        targets: (N,) class numbers.
        preds: (N,) those decided for, where a threshold decides; the likeliest when None.
        limit: maximum number drawn.
    """
    probs, targets = np.asarray(probs, dtype=float), np.asarray(targets, dtype=np.int64)
    preds = probs.argmax(axis=1) if preds is None else np.asarray(preds, dtype=np.int64)
    wrong = np.flatnonzero(preds != targets)
    of_truth, of_pred = probs[wrong, targets[wrong]], probs[wrong, preds[wrong]]
    return wrong[np.lexsort((-of_pred, of_truth))][:limit]


@styled
def most_wrong(
    images: np.ndarray | Sequence[np.ndarray],
    names: Sequence[str],
    targets: np.ndarray,
    preds: np.ndarray,
    confidences: np.ndarray,
    class_names: Sequence[str],
    title: str = "Most wrong predictions",
) -> Figure | None:
    """A grid of images with file name, truth, prediction and its confidence; None if inputs are no images.

    Args:
        images: (N, H, W, C) or (N, C, H, W), or a list of single images that differ in size.
        names: (N,) file names; a path is cut to its last part.
        targets: (N,) class numbers.
        preds: as ``targets``.
        confidences: (N,) probability given to the prediction.
        class_names: names of the classes, in the order of their ids.
        title: title of the figure.
    """
    if not are_images(images):
        return None
    shown = class_labels(class_names, len(class_names), 15)
    captions = [
        f"{label(str(name).replace(chr(92), '/').rsplit('/', 1)[-1], 22)}\n"
        f"truth: {shown[int(target)]}\npred: {shown[int(pred)]} {confidence:.0%}"
        for name, target, pred, confidence in zip(names, targets, preds, confidences, strict=True)
    ]
    return image_grid(images, captions, title, caption_lines=3)


LIMIT = 12
WIDTH = 100


@styled
def most_wrong_texts(
    texts: Sequence[str],
    names: Sequence[str],
    targets: np.ndarray,
    preds: np.ndarray,
    confidences: np.ndarray,
    class_names: Sequence[str],
    title: str = "Most wrong predictions",
) -> Figure:
    """A list of texts with name, truth, prediction and its confidence.

    Args:
        texts: (N,), the worst first; the first 12 are shown.
        names: as ``texts``.
        targets: (N,) class numbers.
        preds: as ``targets``.
        confidences: (N,) probability given to the prediction.
        class_names: names of the classes, in the order of their ids.
        title: title of the figure.
    """
    shown = class_labels(class_names, len(class_names), 20)
    lines = [textwrap.wrap(label(text, 2 * WIDTH - 10), WIDTH) or [""] for text in texts[:LIMIT]]
    height = sum(len(wrapped) + 1.7 for wrapped in lines)
    fig, axes = new_figure(8.0, 0.7 + 0.155 * height, title=title)
    ax = axes[0, 0]
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(height, 0))
    top = 0.5
    for number, wrapped in enumerate(lines):
        verdict = (
            f"truth {shown[int(targets[number])]}, predicted {shown[int(preds[number])]} "
            f"{confidences[number]:.0%}"
        )
        ax.text(0, top, verdict, color=CYCLE[1], fontsize=8, fontweight="bold", va="top")
        ax.text(1, top, label(names[number], 30), color=MUTED, fontsize=7, va="top", ha="right")
        ax.text(0, top + 1, "\n".join(wrapped), color=INK, fontsize=8, va="top", linespacing=1.15)
        top += len(wrapped) + 1.7
    return fig
