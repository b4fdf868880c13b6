"""Padding of sequences of different lengths at their end."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["PAD", "lengths_of", "mask_of", "without_padding"]

PAD = 0
"""Id of the padding token; sequences of numbers are padded with steps that are all NaN."""


def lengths_of(inputs: Tensor) -> Tensor:
    """Returns the number of steps of each sequence without padding, at least 1, ``(N,)``.

    Args:
        inputs: token ids ``(N, T)``, or numbers ``(N, T, F)``.
    """
    valid = inputs != PAD if inputs.dim() == 2 else ~inputs.isnan().all(-1)
    return valid.sum(1).clamp(min=1)


def mask_of(lengths: Tensor, num_steps: int) -> Tensor:
    """Returns a boolean mask ``(N, T)`` that is True for steps before the padding."""
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def without_padding(inputs: Tensor) -> Tensor:
    """Replaces padding steps of ``(N, T, F)`` by zeros; individual missing values stay NaN."""
    return inputs.masked_fill(inputs.isnan().all(-1, keepdim=True), 0.0)
