"""Recurrent layers for sequences of different lengths."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from runner.models.recurrent.export import run_without_packing

__all__ = ["RecurrentLayers", "State", "last_layer"]

State = Tensor | tuple[Tensor, Tensor]
"""Hidden state ``(layers · directions, N, H)``; for an LSTM, a pair with the cell state."""


class RecurrentLayers(nn.Module):
    """``torch.nn.RNN``, ``GRU`` or ``LSTM`` that ignores padding.

    Recurrent weights are initialized orthogonally (Saxe et al., arXiv:1312.6120), the forget-gate biases of an LSTM to 1
    (Jozefowicz et al., ICML 2015).

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
        unit: type[nn.RNNBase],
        in_features: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ):
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

    def forward(self, steps: Tensor, lengths: Tensor | None = None, state: State | None = None):
        """Processes padded sequences.

        Args:
            steps: padded sequences, ``(N, T, F)``.
            lengths: length of each sequence, ``(N,)``; None without padding.
            state: initial state; zeros if None.

        Returns:
            Outputs ``(N, T, out_features)``, zeros in the padding, and the state after each sequence's last step.
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
    """Returns the final hidden state of the last layer, concatenated over directions: ``(N, directions · H)``."""
    hidden = state[0] if isinstance(state, tuple) else state
    return torch.cat([hidden[-2], hidden[-1]], 1) if bidirectional else hidden[-1]
