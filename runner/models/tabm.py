"""TabM: an ensemble of multilayer perceptrons that share most weights, for tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Protocol, runtime_checkable

import torch
from annotated_types import Ge, Lt, MinLen
from torch import Tensor, nn

__all__ = ["FitsInputs", "PiecewiseLinearEmbedding", "TabM"]


@runtime_checkable
class FitsInputs(Protocol):
    """A model whose buffers depend on the distribution of its inputs."""

    def fit_inputs(self, inputs: Tensor) -> None:
        """Sets the buffers, once before training.

        Args:
            inputs: training inputs, normalized as in training, ``(N, …)``.
        """


class PiecewiseLinearEmbedding(nn.Module):
    """Embeds each number by the share of each quantile bin that lies below it.

    Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning" (2022).

    Args:
        num_features: number of features, F.
        num_bins: number of bins of each feature, B.
        embed_dim: size of the embedding of a feature, D.
    """

    lower: Tensor
    inverse_width: Tensor

    def __init__(self, num_features: int, num_bins: int, embed_dim: int) -> None:
        super().__init__()
        edges = torch.linspace(-3, 3, num_bins + 1).expand(num_features, -1)
        self.register_buffer("lower", torch.zeros(num_features, num_bins))
        self.register_buffer("inverse_width", torch.zeros(num_features, num_bins))
        self.set_edges(edges)
        self.weight = nn.Parameter(torch.randn(num_features, num_bins, embed_dim) / math.sqrt(num_bins))
        self.bias = nn.Parameter(torch.zeros(num_features, embed_dim))

    def set_edges(self, edges: Tensor) -> None:
        """Set the edges of the bins, ``(F, B + 1)``; bins without width have no effect."""
        width = edges[:, 1:] - edges[:, :-1]
        self.lower.copy_(edges[:, :-1])
        self.inverse_width.copy_(torch.where(width > 1e-6, 1 / width.clamp(min=1e-6), 0.0))

    def forward(self, inputs: Tensor) -> Tensor:
        """Embed numbers ``(N, F)`` as ``(N, F, D)``."""
        shares = ((inputs[..., None] - self.lower) * self.inverse_width).clamp(0, 1)
        return torch.relu(torch.einsum("nfb,fbd->nfd", shares, self.weight) + self.bias)


class TabM(nn.Module):
    """Gorishniy, Kotelnikov and Babenko, "TabM: Advancing Tabular Deep Learning with …" (2024).

    The members share the linear layers; each scales the inputs and outputs of a layer by its own vectors. In
    training the output has a row per member, so that each member has its own loss. In evaluation the outputs
    of the members are averaged. `fit_inputs` sets the bins of the embedding to quantiles of the inputs.

    Args:
        in_features: number of features, F.
        num_classes: number of outputs; 1 for a single regression target.
        num_members: number of members, M.
        hidden_sizes: number of units of each hidden layer.
        num_bins: bins of the embedding of each feature; 0 uses the features as they are.
        embed_dim: size of the embedding of each feature.
        dropout: dropout probability of hidden units.
        num_embedded: the first features, which are embedded; None embeds all. A feature that is 0 or 1 gains
            nothing from an embedding.
    """

    def __init__(
        self,
        in_features: Annotated[int, Ge(1)],
        num_classes: Annotated[int, Ge(1)],
        num_members: Annotated[int, Ge(1)] = 8,
        hidden_sizes: Annotated[Sequence[Annotated[int, Ge(1)]], MinLen(1)] = (256, 256),
        num_bins: Annotated[int, Ge(0)] = 16,
        embed_dim: Annotated[int, Ge(1)] = 8,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        num_embedded: Annotated[int, Ge(0)] | None = None,
    ) -> None:
        super().__init__()
        self.num_members = num_members
        self.num_embedded = in_features if num_embedded is None else min(num_embedded, in_features)
        is_embedded = num_bins > 0 and self.num_embedded > 0
        self.embedding = (
            PiecewiseLinearEmbedding(self.num_embedded, num_bins, embed_dim) if is_embedded else None
        )
        sizes = [in_features + (self.num_embedded * embed_dim if is_embedded else 0), *hidden_sizes]
        self.layers = nn.ModuleList(
            MemberLinear(size, next_size, num_members, random_signs=index == 0)
            for index, (size, next_size) in enumerate(pairwise(sizes))
        )
        self.dropout = nn.Dropout(dropout)
        self.head = MemberHead(sizes[-1], num_classes, num_members)

    def fit_inputs(self, inputs: Tensor) -> None:
        """Set the bins to quantiles of the inputs.

        Args:
            inputs: training inputs, ``(N, F)``.
        """
        if self.embedding is not None:
            inputs = inputs.flatten(1)[:, : self.num_embedded].float()
            num_bins = self.embedding.lower.shape[1]
            self.embedding.set_edges(torch.quantile(inputs, torch.linspace(0, 1, num_bins + 1), 0).T)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, …)`` → ``(N, M, num_classes)`` in training, ``(N, num_classes)`` in evaluation."""
        hidden = inputs.flatten(1)
        if self.embedding is not None:
            hidden = torch.cat([hidden, self.embedding(hidden[:, : self.num_embedded]).flatten(1)], 1)
        hidden = hidden[:, None].expand(-1, self.num_members, -1)
        for layer in self.layers:
            hidden = self.dropout(torch.relu(layer(hidden)))
        outputs = self.head(hidden)
        return outputs if self.training else outputs.mean(1)


class MemberLinear(nn.Module):
    """A linear layer that the members share, with a scale of inputs and outputs and a bias for each.

    Args:
        in_features, out_features: sizes of input and output.
        num_members: number of members, M.
        random_signs: initialize the scales of the inputs with random signs, so that the members differ.
    """

    def __init__(self, in_features: int, out_features: int, num_members: int, random_signs: bool) -> None:
        super().__init__()
        self.weight = nn.Linear(in_features, out_features, bias=False)
        scale = torch.ones(num_members, in_features)
        if random_signs:
            scale = torch.randint(0, 2, (num_members, in_features)) * 2.0 - 1
        self.in_scale = nn.Parameter(scale)
        self.out_scale = nn.Parameter(torch.ones(num_members, out_features))
        bound = 1 / math.sqrt(in_features)
        self.bias = nn.Parameter(torch.empty(num_members, out_features).uniform_(-bound, bound))

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, M, in_features)`` → ``(N, M, out_features)``."""
        return self.weight(inputs * self.in_scale) * self.out_scale + self.bias


class MemberHead(nn.Module):
    """A linear layer for each member.

    Args:
        in_features, num_classes: sizes of input and output.
        num_members: number of members, M.
    """

    def __init__(self, in_features: int, num_classes: int, num_members: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        weight = torch.empty(num_members, in_features, num_classes).uniform_(-bound, bound)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(num_members, num_classes))

    def forward(self, hidden: Tensor) -> Tensor:
        """``(N, M, in_features)`` → ``(N, M, num_classes)``."""
        return torch.einsum("nmh,mhc->nmc", hidden, self.weight) + self.bias
