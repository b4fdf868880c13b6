"""Directions: filter by filter as long as the weights, nothing for biases and norms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from runner.landscape.direction import by_filter, difference, filter_norms, moved_weights, random_direction


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.ConvTranspose2d(6, 4, 2), nn.GroupNorm(2, 4),
        nn.LayerNorm([4, 7, 7]), nn.Flatten(), nn.Linear(196, 5),
    )  # fmt: skip


def test_filters_are_normalised_to_the_norm_of_the_weights(network):
    direction = random_direction(network, 0, 1)
    for name, turned in (("0.weight", False), ("3.weight", True), ("7.weight", False)):
        weight = network.get_parameter(name).detach()
        assert torch.allclose(filter_norms(direction[name], turned), filter_norms(weight, turned), rtol=1e-5)
    outputs = (
        direction["3.weight"].transpose(0, 1).flatten(1).norm(dim=1)
    )  # of a transposed convolution: 4 of them
    assert torch.allclose(outputs, network[3].weight.transpose(0, 1).flatten(1).norm(dim=1), rtol=1e-5)


def test_biases_and_norms_are_not_moved(network):
    assert (
        set(random_direction(network, 0, 1))
        == {"0.weight", "3.weight", "7.weight"}
        == set(moved_weights(network))
    )


def test_direction_depends_on_seed_and_index(network, same):
    direction = random_direction(network, 0, 1)
    torch.manual_seed(99)
    assert same(direction, random_direction(network, 0, 1))
    assert not same(direction, random_direction(network, 0, 2))
    assert not same(direction, random_direction(network, 1, 1))


def test_zero_filter_is_not_moved():
    layer = nn.Linear(3, 2)
    nn.init.zeros_(layer.weight[0].detach())
    assert torch.equal(by_filter(layer, {"weight": torch.ones(2, 3)})["weight"][0], torch.zeros(3))


def test_difference_leads_to_the_other_state(network):
    torch.manual_seed(1)
    other = {
        name: torch.randn_like(value) if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    found = difference(network, other)
    assert {"1.running_mean", "1.running_var", "0.bias"} <= set(
        found
    ) and "1.num_batches_tracked" not in found
    assert all(
        torch.allclose(network.state_dict()[name] + step, other[name], atol=1e-6)
        for name, step in found.items()
    )
