"""Recurrent layers for sequences of different lengths, also for ``torch.export``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from runner.models.recurrent.padding import mask_of

__all__ = ["RecurrentLayers", "State", "last_layer", "run_without_packing"]

OPS: dict[str, Callable[..., Any]] = {
    "LSTM": torch.lstm,
    "GRU": torch.gru,
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
}


def run_without_packing(
    rnn: nn.RNNBase, steps: Tensor, lengths: Tensor, state: Any = None
) -> tuple[Tensor, Any]:
    """Computes the result of ``rnn`` for a packed sequence with exportable operations.

    The reverse direction reads each sequence flipped within its own length, so it never reads the padding.

    Args:
        rnn: recurrent layers with ``batch_first``.
        steps: padded sequences, ``(N, T, F)``.
        lengths: length of each sequence, ``(N,)``.
        state: initial state of all layers; zeros if None.

    Returns:
        Outputs ``(N, T, directions · H)``, zeros in the padding, and the hidden state after each sequence's
        last step ``(layers · directions, N, H)``. An LSTM's state is a pair; its cell state is None, because
        the operation only returns the one after the padding.
    """
    num_directions = 2 if rnn.bidirectional else 1
    mask = mask_of(lengths, steps.shape[1])[..., None]
    flip = flipped_positions(lengths, steps.shape[1])
    hidden = []
    for layer in range(rnn.num_layers):
        if layer:
            steps = functional.dropout(steps, rnn.dropout, rnn.training)
        directions = []
        for direction in range(num_directions):
            index = layer * num_directions + direction
            inputs = reordered(steps, flip) if direction else steps
            outputs = one_direction(rnn, inputs, index, state)
            hidden.append(
                outputs.gather(1, (lengths - 1)[:, None, None].expand(-1, 1, outputs.shape[2])).squeeze(1)
            )
            directions.append(reordered(outputs, flip) if direction else outputs)
        steps = torch.cat(directions, -1).masked_fill(~mask, 0.0)
    last = torch.stack(hidden)
    return steps, (last, None) if rnn.mode == "LSTM" else last


def one_direction(rnn: nn.RNNBase, inputs: Tensor, index: int, state: Any) -> Tensor:
    """Runs one layer in one direction: ``(N, T, F)`` → ``(N, T, H)``."""
    zeros = inputs.new_zeros(1, inputs.shape[0], rnn.hidden_size)
    initial: Any
    if rnn.mode == "LSTM":
        initial = (zeros, zeros) if state is None else tuple(part[index : index + 1] for part in state)
    else:
        initial = zeros if state is None else state[index : index + 1]
    weights = list(rnn.all_weights[index])
    return OPS[rnn.mode](inputs, initial, weights, rnn.bias, 1, 0.0, rnn.training, False, True)[0]


def flipped_positions(lengths: Tensor, num_steps: int) -> Tensor:
    """Returns indices that reverse each sequence within its length and keep the padding, ``(N, T)``."""
    positions = torch.arange(num_steps, device=lengths.device)[None]
    mirrored = lengths[:, None] - 1 - positions
    return torch.where(mirrored < 0, positions, mirrored)


def reordered(steps: Tensor, positions: Tensor) -> Tensor:
    return steps.gather(1, positions[..., None].expand(-1, -1, steps.shape[2]))


State = Tensor | tuple[Tensor, Tensor]
"""Hidden state ``(layers · directions, N, H)``; for an LSTM, a pair with the cell state."""


class RecurrentLayers(nn.Module):
    """``torch.nn.RNN``, ``GRU`` or ``LSTM`` that ignores padding.

    Recurrent weights are initialized orthogonally (Saxe et al., arXiv:1312.6120), the forget-gate biases of
    an LSTM to 1 (Jozefowicz et al., ICML 2015).

    Args:
        unit: one of the three classes.
        in_features: number of features per step.
        hidden_size: number of units per layer and direction.
        num_layers: number of layers.
        bidirectional: whether to also process sequences from last to first step.
        dropout: dropout probability between layers.
    """

    def __init__(
        self,
        unit: Callable[..., nn.RNNBase],
        in_features: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.rnn = unit(
            in_features,
            hidden_size,
            num_layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=between,
        )
        self.out_features = hidden_size * (2 if bidirectional else 1)
        for name, parameter in self.rnn.named_parameters():
            if name.startswith("weight_hh"):
                for gate in parameter.data.split(hidden_size):
                    nn.init.orthogonal_(gate)
            elif name.startswith("bias_ih") and unit is nn.LSTM:
                parameter.data[hidden_size : 2 * hidden_size] = 1.0

    def forward(
        self, steps: Tensor, lengths: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Processes padded sequences.

        Args:
            steps: padded sequences, ``(N, T, F)``.
            lengths: length of each sequence, ``(N,)``; None without padding.
            state: initial state; zeros if None.

        Returns:
            Outputs ``(N, T, out_features)``, zeros in the padding, and the state after each sequence's last
            step.
        """
        if lengths is None:
            return self.rnn(steps, state)
        if torch.compiler.is_exporting():
            return run_without_packing(self.rnn, steps, lengths, state)
        lengths = lengths.cpu()
        if int(lengths.min()) == steps.shape[1]:
            return self.rnn(steps, state)
        packed = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
        outputs, state = self.rnn(packed, state)
        outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=steps.shape[1])
        return outputs, state


def last_layer(state: State, bidirectional: bool) -> Tensor:
    """Returns the final state of the last layer over all directions, ``(N, directions · H)``."""
    hidden = state[0] if isinstance(state, tuple) else state
    return torch.cat([hidden[-2], hidden[-1]], 1) if bidirectional else hidden[-1]
