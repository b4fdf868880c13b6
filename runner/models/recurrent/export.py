"""Recurrent layers for ``torch.export``, which does not support packed sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from runner.models.recurrent.padding import mask_of

__all__ = ["run_without_packing"]

OPS = {"LSTM": torch.lstm, "GRU": torch.gru, "RNN_TANH": torch.rnn_tanh, "RNN_RELU": torch.rnn_relu}


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
        Outputs ``(N, T, directions · H)``, zeros in the padding, and the hidden state after each sequence's last step
        ``(layers · directions, N, H)``. An LSTM's state is a pair; its cell state is None, because the operation only
        returns the one after the padding.
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
