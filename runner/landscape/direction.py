"""Directions in the space of a model's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from runner.data.sampler import seed_of
from runner.optim.groups import weight_names

__all__ = ["Direction", "by_filter", "difference", "filter_norms", "moved_weights", "random_direction"]

Direction = dict[str, Tensor]
"""By name of the model's tensors; those without a name in it stay where they are."""

TINY = 1e-10


def moved_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that a direction moves. Biases and the parameters of norms keep their values, as is the
    paper's default (Li et al., arXiv:1712.09913).
    """
    weights = weight_names(model)
    return {name: own for name, own in model.named_parameters() if name in weights}


def filters(weight: Tensor, transposed: bool = False) -> Tensor:
    """``(filters, …)``: what makes one output of a layer. A transposed convolution has its outputs in the
    second dimension, any other weight in the first; of a table of vectors each vector is one.
    """
    return weight.transpose(0, 1) if transposed else weight


def filter_norms(weight: Tensor, transposed: bool = False) -> Tensor:
    """The length of each filter, shaped so that it multiplies the filters."""
    rows = filters(weight, transposed)
    return rows.flatten(1).norm(dim=1).view(-1, *[1] * (rows.dim() - 1))


def by_filter(model: nn.Module, direction: Direction) -> Direction:
    """The direction with each filter as long as the model's own: two networks that differ only in how large
    their weights are, as rectified ones do not notice, then have the same landscape (Li et al., section
    4).
    """
    transposed = {id(module.weight) for module in model.modules() if isinstance(module, _ConvTransposeNd)}
    found = {}
    for name, weight in moved_weights(model).items():
        turned, drawn = id(weight) in transposed, direction[name].clone()
        factors = filter_norms(weight.detach(), turned) / (filter_norms(drawn, turned) + TINY)
        filters(drawn, turned).mul_(factors)
        found[name] = drawn
    return found


def random_direction(model: nn.Module, seed: int, number: int) -> Direction:
    """Normally distributed, then normalised by filter; it depends on the seed, the number and the weights
    alone.

    Biases and norms are not in it: they stay where they are.
    """
    generator = torch.Generator().manual_seed(seed_of(seed, "landscape", number))
    drawn = {
        name: torch.randn(weight.shape, generator=generator).to(weight)
        for name, weight in moved_weights(model).items()
    }
    return by_filter(model, drawn)


def difference(model: nn.Module, state: dict[str, Tensor]) -> Direction:
    """From the model to another state of it: every number of it, biases and the statistics of norms too; a
    weight that is shared under each of its names.

    Args:
        state: by name, as the model's own ``state_dict``.

    Raises:
        KeyError, RuntimeError: it is that of another model.
    """
    own_state = model.state_dict()
    return {name: state[name].to(own) - own for name, own in own_state.items() if own.is_floating_point()}
