"""Sizes and lengths of the samples of a data set, read from file headers where possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Measurements", "spread"]


@dataclass(frozen=True)
class Measurements:
    """Sizes and lengths of the training samples, or of a part of them.

    Attributes:
        kind: kind of inputs if their shape does not show it: ``sound``; empty otherwise.
        image_sizes: height and width of images in pixels, ``(n, 2)``.
        are_gray: whether the image files have no colors.
        seconds: length of sounds in seconds, ``(n,)``.
        sample_rates: samples per second of sounds, ``(n,)``.
        num_tokens: number of tokens of texts before they are cut, ``(n,)``.
        object_sizes: smaller side of boxes in pixels of the image, ``(n,)``.
    """

    kind: str = ""
    image_sizes: NDArray[np.int64] | None = None
    are_gray: bool = False
    seconds: NDArray[np.float64] | None = None
    sample_rates: NDArray[np.int64] | None = None
    num_tokens: NDArray[np.int64] | None = None
    object_sizes: NDArray[np.float64] | None = None


def spread(num_all: int, num_most: int = 200) -> Sequence[int]:
    """Return up to ``num_most`` indices, evenly spaced in ``range(num_all)``."""
    return np.unique(np.linspace(0, max(0, num_all - 1), min(num_most, num_all)).astype(int)).tolist()
