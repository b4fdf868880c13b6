"""Conversion of image arrays of any layout and range for drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import as_picture, new_figure

__all__ = ["are_images", "drawable", "image_grid"]

CHANNELS = (1, 3, 4)


def are_images(inputs: np.ndarray | Sequence[np.ndarray]) -> bool:
    """Whether inputs can be drawn: (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels."""
    if len(inputs) == 0:
        return False
    shape = np.shape(inputs[0])
    return (
        len(shape) == 2
        and min(shape) > 1
        or len(shape) == 3
        and (shape[-1] in CHANNELS or shape[0] in CHANNELS)
    )


def drawable(image: np.ndarray) -> np.ndarray:
    """One image as floats in [0, 1]: (H, W) for grey, (H, W, 3) for colour.

    Integers are taken as 8 bit. Floats outside [0, 1] (normalised images) are stretched to fill it.
    """
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] not in CHANNELS:
        image = np.moveaxis(image, 0, -1)
    values = image.astype(np.float32)
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
    images: Sequence[np.ndarray], captions: Sequence[str], title: str, cols: int = 6, caption_lines: int = 1
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
