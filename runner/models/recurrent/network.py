"""RNN, GRU and LSTM for sequences of numbers or tokens, with one output per sequence or per step."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn

from runner.errors import UserError
from runner.models.recurrent.layers import RecurrentLayers, State, last_layer
from runner.models.recurrent.padding import PAD, AttentionPooling, Pooling, lengths_of, pool, without_padding

__all__ = ["GRU", "LSTM", "RNN", "RecurrentNetwork"]

EMBED_DIM = 128


class RecurrentNetwork(nn.Module):
    """Embedding (for tokens) → recurrent layers → pooling (unless per step) → dropout → linear head.

    Args:
        num_classes: number of outputs; 1 for a single regression target.
        num_features: number of features per step; 0 for tokens.
        vocab_size: number of tokens including padding (id 0); 0 for steps of numbers.
        per_step: whether to return one output per step, for labelling and language models.
        embed_dim: dimension of token embeddings; if None 128, or ``hidden_size`` with tied weights.
        hidden_size: number of units per layer and direction.
        num_layers: number of recurrent layers.
        bidirectional: whether to also process sequences from last to first step.
        dropout: dropout probability on embeddings, between layers and before the head.
        pooling: how steps are reduced to one vector: last state (if None), mean, maximum or attention.
        tie_weights: share the weights of embedding and head of a language model (Press and Wolf,
            arXiv:1608.05859).

    Raises:
        UserError: options that exclude each other or would have no effect.
    """

    unit: ClassVar[type[nn.RNNBase]]
    any_size_dims: ClassVar[tuple[int, ...]] = (1,)
    """Dimensions of the inputs, besides the batch, of variable size: the steps."""

    def __init__(
        self,
        num_classes: Annotated[int, Ge(1)],
        num_features: Annotated[int, Ge(0)] = 0,
        vocab_size: Annotated[int, Ge(0)] = 0,
        per_step: bool = False,
        embed_dim: Annotated[int, Ge(1)] | None = None,
        hidden_size: Annotated[int, Ge(1)] = 128,
        num_layers: Annotated[int, Ge(1)] = 1,
        bidirectional: bool = False,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        pooling: Pooling | None = None,
        tie_weights: bool = False,
    ) -> None:
        super().__init__()
        self.check(embed_dim, hidden_size, bidirectional, tie_weights)
        if bool(num_features) == bool(vocab_size):
            raise ValueError("exactly one of num_features and vocab_size must be set")
        reject_idle(embed_dim, pooling, tie_weights, bool(vocab_size), per_step, num_classes == vocab_size)
        self.per_step, self.bidirectional = per_step, bidirectional
        self.pooling = None if per_step else pooling or "last"
        size = num_features
        if vocab_size:
            size = embed_dim or (hidden_size if tie_weights else EMBED_DIM)
            self.embedding = nn.Embedding(vocab_size, size, padding_idx=PAD)
        self.layers = RecurrentLayers(self.unit, size, hidden_size, num_layers, bidirectional, dropout)
        if self.pooling == "attention":
            self.attention = AttentionPooling(self.layers.out_features)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.layers.out_features, num_classes)
        if tie_weights:
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
            self.head.weight = self.embedding.weight

    @staticmethod
    def check(
        embed_dim: int | None = None,
        hidden_size: int = 128,
        bidirectional: bool = False,
        tie_weights: bool = False,
    ) -> None:
        """Checks the arguments that do not depend on the data.

        Raises:
            UserError: options exclude each other.
        """
        if tie_weights and bidirectional:
            raise UserError(
                "tie_weights=true is for language models, which read in one direction: remove bidirectional."
            )
        if tie_weights and embed_dim not in (None, hidden_size):
            raise UserError(
                f"tie_weights=true needs embed_dim = hidden_size, but they are {embed_dim} and "
                f"{hidden_size}. "
                "Omit embed_dim."
            )

    def forward(self, inputs: Tensor, state: State | None = None, carry: bool = False) -> Any:
        """Computes logits for padded sequences.

        Args:
            inputs: token ids ``(N, T)`` padded with 0, or numbers ``(N, T, F)`` padded with NaN.
            state: initial state, as returned by an earlier call with ``carry``.
            carry: whether the inputs are segments of longer sequences, without padding; also returns the
                final state.

        Returns:
            Logits ``(N, num_classes)``, or ``(N, T, num_classes)`` with ``per_step``; with ``carry``, a pair
            of logits and state.
        """
        lengths = None if carry else lengths_of(inputs)
        if hasattr(self, "embedding"):
            steps = self.dropout(self.embedding(inputs.long()))
        else:
            steps = without_padding(inputs)
        outputs, state = self.layers(steps, lengths, state)
        features = outputs if self.per_step else self.pool(outputs, lengths, state)
        logits = self.head(self.dropout(features))
        return (logits, state) if carry else logits

    def pool(self, outputs: Tensor, lengths: Tensor | None, state: State) -> Tensor:
        """``(N, T, H)`` → ``(N, H)``."""
        if lengths is None:
            lengths = outputs.new_full((outputs.shape[0],), outputs.shape[1], dtype=torch.long)
        if self.pooling == "attention":
            return self.attention(outputs, lengths)
        if self.pooling in ("mean", "max"):
            return pool(outputs, lengths, self.pooling)
        return last_layer(state, self.bidirectional)


def reject_idle(
    embed_dim: int | None,
    pooling: str | None,
    tie_weights: bool,
    tokens: bool,
    per_step: bool,
    predicts_tokens: bool,
) -> None:
    """Rejects options that would have no effect.

    Raises:
        UserError: an option would have no effect.
    """
    if embed_dim and not tokens:
        raise UserError(
            f"model.embed_dim={embed_dim} would have no effect: the steps are numbers, not tokens."
        )
    if pooling and per_step:
        raise UserError(
            f"model.pooling={pooling} would have no effect: the model returns an output for each step. "
            "Remove it."
        )
    if tie_weights and not (tokens and per_step and predicts_tokens):
        raise UserError("model.tie_weights=true is for language models only. Remove it.")


class RNN(RecurrentNetwork):
    """Elman network with tanh units. Elman: Finding structure in time, Cognitive Science, 1990."""

    unit = nn.RNN


class GRU(RecurrentNetwork):
    """Gated recurrent units. Cho et al., arXiv:1406.1078."""

    unit = nn.GRU


class LSTM(RecurrentNetwork):
    """Long short-term memory. Hochreiter and Schmidhuber, Neural Computation, 1997."""

    unit = nn.LSTM
