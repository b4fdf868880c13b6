"""Sequences of different lengths in one tensor: the shorter ones are filled up behind their last step."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["PAD", "lengths_of", "mask_of", "without_padding"]

PAD = 0
"""Id of the token that fills up; of sequences of numbers, steps that are all NaN do."""


def lengths_of(inputs: Tensor) -> Tensor:
    """Steps of each sequence before its padding, at least one, ``(N,)``.

    Args:
        inputs: token ids ``(N, T)``, or numbers ``(N, T, F)``.
    """
    there = inputs != PAD if inputs.dim() == 2 else ~inputs.isnan().all(-1)
    return there.sum(1).clamp(min=1)


def mask_of(lengths: Tensor, num_steps: int) -> Tensor:
    """Whether a step is one of its sequence, bool ``(N, T)``."""
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def without_padding(inputs: Tensor) -> Tensor:
    """Numbers ``(N, T, F)`` with zeros in the steps that fill up; a single missing number stays NaN."""
    return inputs.masked_fill(inputs.isnan().all(-1, keepdim=True), 0.0)
