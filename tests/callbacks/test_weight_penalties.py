"""The bound on each unit's incoming weights, against norms computed one unit at a time."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from runner.callbacks.weight_penalties import bound_units
from runner.models.dlinear import DLinear


def bounded(module: nn.Module, bound: float) -> tuple[torch.Tensor, torch.Tensor]:
    before = module.weight.detach().clone()
    bound_units(module, module.weight, bound)
    return before, module.weight.detach()


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kind", [nn.ConvTranspose1d, nn.ConvTranspose2d])
def test_channels_of_a_transposed_convolution(kind, groups):
    """The norm of a channel is that of the weights that act on it."""
    torch.manual_seed(0)
    module = kind(8, 12, 3, groups=groups, bias=False)
    nn.init.normal_(module.weight, std=0.2)
    before, after = bounded(module, 0.5)
    incoming, outgoing = 8 // groups, 12 // groups
    some_above = False
    for channel in range(12):
        group, place = divmod(channel, outgoing)
        rows = slice(group * incoming, (group + 1) * incoming)
        norm = float(before[rows, place].norm())
        some_above = some_above or norm > 0.5
        torch.testing.assert_close(
            after[rows, place], before[rows, place] * min(1.0, 0.5 / norm), atol=1e-5, rtol=1e-5
        )
    assert some_above


def test_outputs_of_a_bounded_transposed_convolution():
    """A channel puts out at most its norm, for inputs of norm one."""
    torch.manual_seed(0)
    module = nn.ConvTranspose2d(6, 4, 1, groups=2, bias=False)
    nn.init.normal_(module.weight, std=5)
    bound_units(module, module.weight, 0.5)
    inputs = torch.randn(500, 6, 1, 1)
    inputs = inputs / inputs.norm(dim=1, keepdim=True)
    assert float(module(inputs).detach().abs().max()) <= 0.5 + 1e-5


@pytest.mark.parametrize("individual", [False, True])
def test_horizon_steps_of_dlinear(individual):
    torch.manual_seed(0)
    module = DLinear(6, 4, [0, 1, 2], 3, individual)
    nn.init.normal_(module.weight)
    before, after = bounded(module, 0.5)
    for layer in range(3 if individual else 1):
        for step in range(4):
            whole = before[:, layer, step]
            torch.testing.assert_close(
                after[:, layer, step], whole * min(1.0, 0.5 / float(whole.norm())), atol=1e-5, rtol=1e-5
            )


@pytest.mark.parametrize("module", [nn.Linear(5, 3), nn.Conv2d(4, 6, 3, groups=2), nn.Embedding(5, 3)])
def test_other_layers_have_units_along_the_first_dimension(module):
    before, after = bounded(module, 0.5)
    assert torch.equal(after, torch.renorm(before, 2, 0, 0.5))


def test_bias_has_no_units():
    """The bound of `MaxNorm` leaves biases of any shape."""
    from types import SimpleNamespace

    from runner.callbacks.noise import WeightNoise
    from runner.callbacks.weight_penalties import L1Penalty, MaxNorm

    model = DLinear(6, 4, [0])
    nn.init.constant_(model.bias, 9.0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    trainer, task = SimpleNamespace(global_step=1), SimpleNamespace(model=model)
    MaxNorm(0.5).on_train_batch_end(trainer, task, None, None, 0)
    WeightNoise(0.5, 0).on_train_batch_start(trainer, task, None, 0)
    L1Penalty(0.5).on_before_optimizer_step(trainer, task, None)
    assert torch.equal(model.bias, torch.full((1, 4), 9.0)) and not model.bias.grad.any()
    assert model.weight.grad.abs().max() == 0.5
