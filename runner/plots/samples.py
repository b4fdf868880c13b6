"""Augmented samples with their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.image import are_images, image_grid
from runner.plots.style import label, styled

__all__ = ["sample_grid"]


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
    """
    if not are_images(images):
        return None
    return image_grid(images[:limit], [label(text, 22) for text in labels[:limit]], title)
