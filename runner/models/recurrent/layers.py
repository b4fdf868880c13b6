"""Layers of recurrent units over sequences of different lengths."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from runner.models.recurrent.export import run_without_packing

__all__ = ["RecurrentLayers", "State", "last_layer"]

State = Tensor | tuple[Tensor, Tensor]
"""Hidden state ``(layers · directions, N, H)``; of an LSTM that and its cells."""


class RecurrentLayers(nn.Module):
    """``torch.nn.RNN``, ``GRU`` or ``LSTM`` that passes over padding.

    Recurrent weights start orthogonal (Saxe et al., arXiv:1312.6120), an LSTM's forget gates open (Jozefowicz et al.,
    ICML 2015).

    Args:
        unit: one of the three classes.
        in_features: numbers in a step.
        hidden_size: units of a layer, of each direction.
        num_layers: how many.
        bidirectional: also from the last step to the first.
        dropout: between layers.
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
            in_features, hidden_size, num_layers, batch_first=True, bidirectional=bidirectional, dropout=between
        )
        self.out_features = hidden_size * (2 if bidirectional else 1)
        for name, parameter in self.rnn.named_parameters():
            if name.startswith("weight_hh"):
                for gate in parameter.data.split(hidden_size):
                    nn.init.orthogonal_(gate)
            elif name.startswith("bias_ih") and unit is nn.LSTM:
                parameter.data[hidden_size : 2 * hidden_size] = 1.0

    def forward(self, steps: Tensor, lengths: Tensor | None = None, state: State | None = None):
        """
        Args:
            steps: ``(N, T, F)``.
            lengths: ``(N,)``; all steps count when None.
            state: to begin from; zeros when None.

        Returns:
            Outputs ``(N, T, out_features)``, zeros in the padding, and the state behind each sequence's last step.
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
    """What the last layer knows at the end of its way, or of both ways: ``(N, directions · H)``."""
    hidden = state[0] if isinstance(state, tuple) else state
    return torch.cat([hidden[-2], hidden[-1]], 1) if bidirectional else hidden[-1]
