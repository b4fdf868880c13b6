"""Directions in the space of a model's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from runner.data.sampler import seed_of
from runner.optim.groups import weight_names

__all__ = ["Direction", "by_filter", "difference", "filter_norms", "moved_weights", "random_direction"]

Direction = dict[str, Tensor]
"""Change of a model's tensors by name; tensors that are missing do not change."""

TINY = 1e-10


def moved_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Returns the weights that a direction changes.

    Biases and the parameters of norms keep their values, as is the default of Li et al., arXiv:1712.09913.
    """
    weights = weight_names(model)
    return {name: own for name, own in model.named_parameters() if name in weights}


def filters(weight: Tensor, transposed: bool = False) -> Tensor:
    """Returns the weights with the filters, one for each output of the layer, in the first dimension.

    Args:
        weight: a layer's weight; of an embedding, each vector is a filter.
        transposed: whether the layer is a transposed convolution, which has its outputs in the second
            dimension.
    """
    return weight.transpose(0, 1) if transposed else weight


def filter_norms(weight: Tensor, transposed: bool = False) -> Tensor:
    """Returns the norm of each filter, shaped for multiplication with the filters."""
    rows = filters(weight, transposed)
    return rows.flatten(1).norm(dim=1).view(-1, *[1] * (rows.dim() - 1))


def by_filter(model: nn.Module, direction: Direction) -> Direction:
    """Scales each filter of a direction to the norm of the model's own filter (Li et al., section 4).

    Networks with rectified units that differ only in the scale of their weights then have the same landscape.
    """
    transposed = {id(module.weight) for module in model.modules() if isinstance(module, _ConvTransposeNd)}
    normalized = {}
    for name, weight in moved_weights(model).items():
        is_transposed, part = id(weight) in transposed, direction[name].clone()
        factors = filter_norms(weight.detach(), is_transposed) / (filter_norms(part, is_transposed) + TINY)
        filters(part, is_transposed).mul_(factors)
        normalized[name] = part
    return normalized


def random_direction(model: nn.Module, seed: int, number: int) -> Direction:
    """Draws a direction from a normal distribution and normalizes it by filter.

    It does not change biases and norms.

    Args:
        model: the model at the center.
        seed: seed of the directions.
        number: number of the direction.
    """
    generator = torch.Generator().manual_seed(seed_of(seed, "landscape", number))
    drawn = {
        name: torch.randn(weight.shape, generator=generator).to(weight)
        for name, weight in moved_weights(model).items()
    }
    return by_filter(model, drawn)


def difference(model: nn.Module, state: dict[str, Tensor]) -> Direction:
    """Returns the direction from the model to another state, including biases and the statistics of norms.

    A shared weight is included under each of its names.

    Args:
        model: the model at the center.
        state: tensors by name, as in the model's ``state_dict``.

    Raises:
        KeyError: the state belongs to another model.
        RuntimeError: a tensor has another shape.
    """
    own_state = model.state_dict()
    return {name: state[name].to(own) - own for name, own in own_state.items() if own.is_floating_point()}
