"""Features of images and sounds for linear models."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import interpolate

__all__ = ["cepstral_statistics", "image_features"]

SIDE = 32
CELL = 8
NUM_ORIENTATIONS = 9
THUMBNAIL = 8
NUM_COEFFICIENTS = 20


def image_features(images: np.ndarray) -> np.ndarray:
    """Describe images by histograms of oriented gradients and a small color image.

    Histograms of oriented gradients: Dalal and Triggs, CVPR 2005, with 9 unsigned orientations, cells of 8 ×
    8 pixels of an image of 32 × 32, and normalized blocks of 2 × 2 cells. Images of at most 1024 values are
    used as they are instead.

    Args:
        images: ``(N, C, H, W)``, unsigned integers or floats.

    Returns:
        ``(N, F)`` float32.
    """
    flat = images.reshape(len(images), -1).astype(np.float32)
    if flat.shape[1] <= SIDE * SIDE:
        return flat
    tensor = torch.from_numpy(np.ascontiguousarray(images)).float()
    resized = interpolate(tensor, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    thumbnail = interpolate(resized, size=(THUMBNAIL, THUMBNAIL), mode="area").flatten(1)
    return np.concatenate([oriented_gradients(resized.mean(1).numpy()), thumbnail.numpy()], axis=1)


def oriented_gradients(gray: np.ndarray) -> np.ndarray:
    """Return normalized histograms of gradient orientations of gray images ``(N, 32, 32)``."""
    rows, columns = np.gradient(gray, axis=(1, 2))
    strength = np.hypot(rows, columns)
    orientation = np.mod(np.arctan2(rows, columns), np.pi) / np.pi * NUM_ORIENTATIONS
    bins = np.minimum(orientation.astype(int), NUM_ORIENTATIONS - 1)
    votes = strength[..., None] * (bins[..., None] == np.arange(NUM_ORIENTATIONS))
    side = SIDE // CELL
    cells = votes.reshape(len(gray), side, CELL, side, CELL, NUM_ORIENTATIONS).sum((2, 4))
    corners = [cells[:, r : side - 1 + r, c : side - 1 + c] for r in (0, 1) for c in (0, 1)]
    blocks = np.concatenate(corners, axis=-1)
    blocks = blocks / np.sqrt((blocks**2).sum(-1, keepdims=True) + 1e-4)
    return blocks.reshape(len(gray), -1).astype(np.float32)


def cepstral_statistics(spectrograms: np.ndarray) -> np.ndarray:
    """Summarize log-mel spectrograms by mean and deviation of their cepstral coefficients and differences.

    Args:
        spectrograms: ``(N, M, T)``, log-mel; NaN frames do not count.

    Returns:
        ``(N, 4 · 20)`` float32.
    """
    from scipy.fft import dct

    coefficients = dct(spectrograms, axis=1, norm="ortho")[:, :NUM_COEFFICIENTS]
    parts = (coefficients, np.diff(coefficients, axis=2))
    statistics = [reduce(part, axis=2) for part in parts for reduce in (np.nanmean, np.nanstd)]
    return np.nan_to_num(np.concatenate(statistics, axis=1)).astype(np.float32)
