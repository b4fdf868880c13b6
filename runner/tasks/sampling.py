"""Sampling of tokens from a language model."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["draw"]

NEVER_SAMPLED = (0, 1, 2, 3)
"""Special tokens, which are never sampled."""


def draw(logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None) -> Tensor:
    """Samples one token per row: ``(N, K)`` → ``(N, 1)``.

    Top-k sampling follows Fan, Lewis, Dauphin: Hierarchical neural story generation, 2018.
    """
    logits = logits.index_fill(1, torch.tensor(NEVER_SAMPLED), -torch.inf)
    if temperature == 0:
        return logits.argmax(1, keepdim=True)
    if top_k is not None and top_k < logits.shape[1]:
        least = logits.topk(top_k, 1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    return torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)
