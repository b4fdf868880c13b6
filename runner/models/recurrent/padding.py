"""Padding of sequences of different lengths, and pooling of their steps into one vector."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["PAD", "AttentionPooling", "Pooling", "lengths_of", "mask_of", "pool", "without_padding"]

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


Pooling = Literal["last", "mean", "max", "attention"]


class AttentionPooling(nn.Module):
    """Weighted mean of the steps, with weights computed from each step.

    Yang et al.: Hierarchical attention networks for document classification, NAACL 2016.

    Args:
        size: number of features per step.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size, size)
        self.score = nn.Linear(size, 1, bias=False)

    def forward(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """``(N, T, H)`` and ``(N,)`` → ``(N, H)``."""
        scores = self.score(torch.tanh(self.hidden(outputs))).squeeze(-1)
        weights = scores.masked_fill(~mask_of(lengths, outputs.shape[1]), -torch.inf).softmax(1)
        return (weights[..., None] * outputs).sum(1)


def pool(outputs: Tensor, lengths: Tensor, how: Literal["mean", "max"]) -> Tensor:
    """Mean or maximum over the steps before the padding: ``(N, T, H)`` → ``(N, H)``."""
    mask = mask_of(lengths, outputs.shape[1])[..., None]
    if how == "max":
        return outputs.masked_fill(~mask, -torch.inf).amax(1)
    return outputs.masked_fill(~mask, 0.0).sum(1) / lengths[:, None]
