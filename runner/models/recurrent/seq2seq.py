"""Recurrent encoder and decoder with attention for sequence-to-sequence learning."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn

from runner.models.recurrent.layers import RecurrentLayers, State
from runner.models.recurrent.padding import PAD, lengths_of, mask_of

__all__ = ["Memory", "Seq2Seq"]

UNITS: dict[str, type[nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Memory(NamedTuple):
    """Encoder results that the decoder attends to.

    Attributes:
        outputs: outputs of the encoder, ``(N, S, E)``.
        keys: attention keys, ``(N, S, H)``.
        mask: True for steps before the padding, ``(N, S)``.
    """

    outputs: Tensor
    keys: Tensor
    mask: Tensor


class Seq2Seq(nn.Module):
    """A bidirectional encoder and a decoder that attends to all of its steps.

    Luong, Pham, Manning: Effective approaches to attention-based neural machine translation, EMNLP 2015, with
    global attention and the general score, but without input feeding, so that all steps of a known target are
    computed at once.

    Args:
        num_classes: size of the target vocabulary.
        vocab_size: size of the source vocabulary.
        units: recurrent units of encoder and decoder.
        embed_dim: dimension of token embeddings.
        hidden_size: number of units per layer and direction.
        num_layers: number of layers of encoder and decoder each.
        dropout: dropout probability on embeddings, between layers and before the head.
        tie_weights: share the weights of target embedding and head (Press and Wolf, arXiv:1608.05859).
    """

    def __init__(
        self,
        num_classes: Annotated[int, Ge(1)],
        vocab_size: Annotated[int, Ge(1)],
        units: Literal["lstm", "gru", "rnn"] = "lstm",
        embed_dim: Annotated[int, Ge(1)] = 128,
        hidden_size: Annotated[int, Ge(1)] = 256,
        num_layers: Annotated[int, Ge(1)] = 1,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        tie_weights: bool = True,
    ) -> None:
        super().__init__()
        unit = UNITS[units]
        self.source_embedding = nn.Embedding(vocab_size, embed_dim, padding_idx=PAD)
        self.target_embedding = nn.Embedding(num_classes, embed_dim, padding_idx=PAD)
        self.encoder = RecurrentLayers(unit, embed_dim, hidden_size, num_layers, True, dropout)
        self.bridge = nn.Linear(2 * hidden_size, hidden_size)
        self.key = nn.Linear(2 * hidden_size, hidden_size, bias=False)
        self.decoder = RecurrentLayers(unit, embed_dim, hidden_size, num_layers, False, dropout)
        self.combine = nn.Linear(3 * hidden_size, embed_dim)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(embed_dim, num_classes)
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(embedding.weight, std=embed_dim**-0.5)
        if tie_weights:
            self.head.weight = self.target_embedding.weight

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Computes logits ``(N, T, K)`` from source ``(N, S)`` and target tokens ``(N, T)``."""
        memory, state = self.encode(source)
        return self.decode(target, memory, state)[0]

    def encode(self, source: Tensor) -> tuple[Memory, State]:
        """Encodes token ids ``(N, S)``, padded with 0, into memory and initial state of the decoder."""
        source, lengths = source.long(), lengths_of(source)
        outputs, state = self.encoder(self.dropout(self.source_embedding(source)), lengths)
        memory = Memory(outputs, self.key(outputs), mask_of(lengths, source.shape[1]))
        if isinstance(state, tuple):
            hidden, cell = state
            return memory, (self.both_ways(hidden), self.both_ways(cell))
        return memory, self.both_ways(state)

    def both_ways(self, state: Tensor) -> Tensor:
        """Combines the states of both directions: ``(2 · layers, N, H)`` → ``(layers, N, H)``."""
        pairs = state.unflatten(0, (-1, 2))
        return torch.tanh(self.bridge(torch.cat([pairs[:, 0], pairs[:, 1]], -1)))

    def decode(self, tokens: Tensor, memory: Memory, state: State) -> tuple[Tensor, State, Tensor]:
        """Decodes given target tokens.

        Args:
            tokens: target tokens, ``(N, T)``.
            memory: encoder results, as returned by ``encode``.
            state: state of the decoder before these tokens.

        Returns:
            Logits of the token after each ``(N, T, K)``, the final state, and the attention weights over the
            source steps ``(N, T, S)``.
        """
        outputs, state = self.decoder(self.dropout(self.target_embedding(tokens.long())), None, state)
        scores = outputs @ memory.keys.transpose(1, 2)
        attention = scores.masked_fill(~memory.mask[:, None], -torch.inf).softmax(-1)
        context = attention @ memory.outputs
        features = torch.tanh(self.combine(torch.cat([context, outputs], -1)))
        return self.head(self.dropout(features)), state, attention
