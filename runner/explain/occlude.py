"""Occlusion: decrease of the score when a part of the input is covered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from captum.attr import Occlusion
from torch import Tensor

__all__ = ["occlude_image", "occlude_steps", "occlude_vectors"]

AT_ONCE = 16
"""Number of covered inputs in one forward pass."""
PER_SIDE = 8
"""Number of windows along an image's side; they overlap by half."""
MAX_WINDOWS = 1000
"""Maximum number of windows over a sequence; in longer ones, several steps are covered at a time."""

Score = Callable[..., Tensor]


def occlude_image(score: Score, inputs: Tensor, cover: Tensor) -> Tensor:
    """Covers windows of an image (Zeiler and Fergus 2013, arXiv:1311.2901).

    Args:
        score: ``(N, C, H, W)`` → ``(N,)``.
        inputs: ``(1, C, H, W)``.
        cover: values of covered pixels, in the shape of the inputs.

    Returns:
        Mean decrease of the score over the windows that cover each pixel, ``(H, W)``.
    """
    window = [max(1, side // PER_SIDE) for side in inputs.shape[-2:]]
    strides = [-(-side // 2) for side in window]
    channels = inputs.shape[1]
    values = slide(score, inputs, (channels, *window), (channels, *strides), cover)
    return values[0, 0]


def occlude_steps(score: Score, inputs: Tensor, cover: Tensor) -> Tensor:
    """Covers each step of each variable separately, or several steps in long sequences.

    Args:
        score: ``(N, T, F)`` → ``(N,)``.
        inputs: ``(1, T, F)``.
        cover: values of covered steps, in the shape of the inputs.

    Returns:
        Decrease of the score, ``(T, F)``.
    """
    steps = -(-inputs.shape[1] * inputs.shape[2] // MAX_WINDOWS)
    return slide(score, inputs, (steps, 1), (steps, 1), cover)[0]


def occlude_vectors(score: Score, vectors: Tensor, *further: Any) -> Tensor:
    """Replaces the vector of each token by zeros.

    Args:
        score: maps vectors ``(N, T, D)`` and the ``further`` arguments to ``(N,)``.
        vectors: ``(1, T, D)``.
        further: additional constant arguments of ``score``.

    Returns:
        Decrease of the score, ``(T,)``.
    """
    size = vectors.shape[2]
    values = slide(score, vectors, (1, size), (1, size), torch.zeros_like(vectors), *further)
    return values[0, :, 0]


def slide(
    score: Score,
    inputs: Tensor,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    cover: Tensor,
    *further: Any,
) -> Tensor:
    """Covers all windows of an input; overlapping windows are averaged."""
    with torch.no_grad():
        return Occlusion(score).attribute(
            inputs,
            sliding_window_shapes=window,
            strides=strides,
            baselines=cover,
            perturbations_per_eval=AT_ONCE,
            additional_forward_args=further or None,
        )
