"""Pooling of the steps of a sequence into one vector."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from runner.models.recurrent.padding import mask_of

__all__ = ["AttentionPooling", "Pooling", "pool"]

Pooling = Literal["last", "mean", "max", "attention"]


class AttentionPooling(nn.Module):
    """Weighted mean of the steps, with weights computed from each step.

    Yang et al.: Hierarchical attention networks for document classification, NAACL 2016.

    Args:
        size: number of features per step.
    """

    def __init__(self, size: int):
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
