"""Linear classifier of word n-grams, with an optional LSTM beside it."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from runner.models.recurrent.layers import RecurrentLayers
from runner.models.recurrent.padding import PAD, lengths_of, pool

__all__ = ["NgramClassifier"]

UNKNOWN = 1
SCALE = 10 / 3
"""Scale of the sums of n-gram weights: AdamW's steps are too small for them otherwise."""
MULTIPLIERS = (1_000_003, 31)
"""Factors of the hash of an n-gram."""


class NgramClassifier(nn.Module):
    """Each token and each hashed n-gram of tokens has a weight per class, as in a linear model of a bag.

    The bag follows Joulin et al., "Bag of Tricks for Efficient Text Classification" (2016), with weights
    per class in place of embeddings. With ``hidden_size`` the logits of a bidirectional LSTM with maximum
    pooling are added.

    Args:
        num_classes: number of outputs, C.
        vocab_size: number of tokens including padding (id 0).
        max_n: tokens of the longest n-grams.
        num_buckets: number of buckets that n-grams are hashed to.
        token_dropout: in training, probability that a token becomes the unknown one.
        hidden_size: units of the LSTM in each direction; 0 for no LSTM.
        embed_dim: dimension of the token embeddings of the LSTM.
        dropout: dropout probability of embeddings and of pooled states of the LSTM.
    """

    any_size_dims: ClassVar[tuple[int, ...]] = (1,)
    """Dimensions of the inputs, besides the batch, of variable size: the steps."""

    def __init__(
        self,
        num_classes: Annotated[int, Ge(1)],
        vocab_size: Annotated[int, Gt(1)],
        max_n: Annotated[int, Ge(1)] = 2,
        num_buckets: Annotated[int, Gt(1)] = 65_536,
        token_dropout: Annotated[float, Ge(0), Lt(1)] = 0.2,
        hidden_size: Annotated[int, Ge(0)] = 0,
        embed_dim: Annotated[int, Ge(1)] = 128,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ) -> None:
        super().__init__()
        self.max_n, self.num_buckets, self.token_dropout = max_n, num_buckets, token_dropout
        self.tokens = nn.Embedding(vocab_size, num_classes, padding_idx=PAD)
        self.ngrams = nn.ModuleList(
            nn.Embedding(num_buckets, num_classes, padding_idx=PAD) for _ in range(max_n - 1)
        )
        for table in (self.tokens, *self.ngrams):
            nn.init.zeros_(table.weight)
        self.bias = nn.Parameter(torch.zeros(num_classes))
        self.hidden_size = hidden_size
        if hidden_size:
            self.embedding = nn.Embedding(vocab_size, embed_dim, padding_idx=PAD)
            self.layers = RecurrentLayers(nn.LSTM, embed_dim, hidden_size, 1, True, dropout)
            self.dropout = nn.Dropout(dropout)
            self.head = nn.Linear(self.layers.out_features, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Token ids ``(N, T)`` padded with 0 → logits ``(N, C)``."""
        ids = inputs.long()
        if self.training and self.token_dropout:
            dropped = torch.rand(ids.shape, device=ids.device) < self.token_dropout
            ids = torch.where(dropped & (ids != PAD), UNKNOWN, ids)
        lengths = (ids != PAD).sum(1, keepdim=True).clamp(min=1)
        sums = self.tokens(ids).sum(1)
        for index, table in enumerate(self.ngrams):
            sums = sums + table(self.buckets(ids, index + 2)).sum(1)
        logits = SCALE * sums / lengths.sqrt() + self.bias
        return logits + self.recurrent_logits(ids) if self.hidden_size else logits

    def buckets(self, ids: Tensor, n: int) -> Tensor:
        """Return the bucket of each n-gram, ``(N, T − n + 1)``; 0 for those that contain padding."""
        if ids.shape[1] < n:
            return ids[:, :0]
        windows = ids.unfold(1, n, 1)
        value = windows[..., 0]
        for position in range(1, n):
            value = (value * MULTIPLIERS[0] + windows[..., position] * MULTIPLIERS[1]) % (2**31 - 1)
        return torch.where((windows != PAD).all(-1), value % (self.num_buckets - 1) + 1, PAD)

    def recurrent_logits(self, ids: Tensor) -> Tensor:
        lengths = lengths_of(ids)
        outputs, _ = self.layers(self.dropout(self.embedding(ids)), lengths, None)
        return self.head(self.dropout(pool(outputs, lengths, "max")))
