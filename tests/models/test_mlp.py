import pytest
import torch
from torch import nn

from runner.models.mlp import ACTIVATIONS, MLP


def kinds(model: nn.Module) -> list[type]:
    return [type(module) for module in model.backbone]


@pytest.mark.parametrize("hidden_sizes", [[], [5], [7, 6, 5]])
def test_has_the_requested_hidden_sizes(hidden_sizes):
    model = MLP(in_features=8, num_classes=3, hidden_sizes=hidden_sizes)
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert [module.in_features for module in linear] == [8, *hidden_sizes]
    assert [module.out_features for module in linear] == [*hidden_sizes, 3]
    assert model(torch.randn(4, 2, 2, 2)).shape == (4, 3)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation_acts(activation):
    model = MLP(4, 2, [3], activation=activation)
    assert kinds(model) == [nn.Linear, ACTIVATIONS[activation]]


def test_order_within_a_layer():
    assert kinds(MLP(4, 2, [3], dropout=0.5, normalization="batch")) == [
        nn.Linear,
        nn.BatchNorm1d,
        nn.ReLU,
        nn.Dropout,
    ]
    assert kinds(MLP(4, 2, [3], normalization="layer")) == [nn.Linear, nn.LayerNorm, nn.ReLU]


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    model, inputs = MLP(4, 2, [64], dropout=0.5), torch.randn(3, 4)
    assert not torch.equal(model(inputs), model(inputs))
    model.eval()
    assert torch.equal(model(inputs), model(inputs))


def test_one_output_regresses():
    assert MLP(13, 1)(torch.randn(5, 13)).shape == (5, 1)
