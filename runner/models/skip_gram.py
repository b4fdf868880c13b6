"""Skip-gram model for word vectors."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

__all__ = ["SkipGram"]


class SkipGram(nn.Module):
    """Skip-gram with two vectors per word: as center and as neighbor (Mikolov et al., arXiv:1310.4546).

    Args:
        vocab_size: number of words.
        embed_dim: dimension of the word vectors.
    """

    def __init__(self, vocab_size: Annotated[int, Ge(1)], embed_dim: Annotated[int, Ge(1)] = 100) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        self.neighbours = nn.Embedding(vocab_size, embed_dim)
        nn.init.uniform_(self.embedding.weight, -0.5 / embed_dim, 0.5 / embed_dim)
        nn.init.zeros_(self.neighbours.weight)

    def forward(self, words: Tensor, candidates: Tensor) -> Tensor:
        """Words ``(N,)`` and candidate neighbors ``(N, 1 + k)`` → logits ``(N, 1 + k)``."""
        return torch.einsum("nd,nkd->nk", self.embedding(words), self.neighbours(candidates))
