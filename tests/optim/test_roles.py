"""Which parameters are weights: the role decides, not the shape."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
import torchvision
import yaml
from torch import nn

from runner.config.build import resolve_target
from runner.models.dlinear import DLinear
from runner.models.linear import Perceptron
from runner.models.recurrent.network import GRU
from runner.models.timm import timm_model
from runner.optim.groups import build_optimizer, exempt_from_decay, parameter_groups, weight_names

OPTIONS = sorted((Path(__file__).resolve().parents[2] / "conf" / "model").glob("*.yaml"))
FACTS = {
    "${facts:horizon_steps}": 4,
    "${facts:image_size}": 64,
    "${facts:in_channels}": 3,
    "${facts:in_features}": 12,
    "${facts:input_steps}": 8,
    "${facts:longer_side}": 64,
    "${facts:num_features}": 0,
    "${facts:num_numeric}": 6,
    "${facts:num_outputs}": 5,
    "${facts:per_step}": False,
    "${facts:shorter_side}": 64,
    "${facts:target_columns}": [0],
    "${facts:vocab_size}": 9,
    "${pretrained}": False,
    "${regularization.dropout}": 0.1,
    "${regularization.spatial_dropout}": 0.1,
    "${regularization.stochastic_depth}": 0.1,
}
TOKENS_AND_POSITIONS = {"dpt": {"encoder.model.cls_token"}}
"""Neither biases nor of norms, and no weights either."""


def others(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters()} - weight_names(model)


@pytest.mark.parametrize("individual", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("horizon_steps", [1, 4])
def test_bias_of_dlinear_is_a_bias_and_its_weight_a_weight(individual, kernel_size, horizon_steps):
    model = DLinear(6, horizon_steps, [0, 1], kernel_size, individual)
    assert weight_names(model) == {"weight"} and others(model) == {"bias"}
    decayed, spared = parameter_groups(model)
    assert [id(p) for p in decayed["params"]] == [id(model.weight)]
    assert [id(p) for p in spared["params"]] == [id(model.bias)] and spared["weight_decay"] == 0.0


def test_dlinear_bias_is_not_decayed():
    model = DLinear(6, 4, [0])
    nn.init.ones_(model.bias)
    before = model.weight.detach().clone()
    optimizer = build_optimizer(functools.partial(torch.optim.SGD, lr=0.1, weight_decay=0.5), model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(model.bias, torch.ones(1, 4))
    torch.testing.assert_close(model.weight.detach(), 0.95 * before)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_layer_with_one_unit_or_one_input_has_a_weight(shape):
    assert weight_names(nn.Linear(shape[1], shape[0])) == {"weight"}


def test_attention_has_three_dimensional_biases():
    """``bias_k`` and ``bias_v`` are (1, 1, E)."""
    model = nn.MultiheadAttention(8, 2, add_bias_kv=True)
    assert weight_names(model) == {"in_proj_weight", "out_proj.weight"}


def test_layer_scales_and_tokens_are_not_weights():
    """ConvNeXt's scales are (C, 1, 1), the class token of a vision transformer is (1, 1, D)."""
    assert {name.rpartition(".")[2] for name in others(torchvision.models.convnext_tiny())} == {
        "bias",
        "weight",
        "layer_scale",
    }
    assert "class_token" in others(torchvision.models.vit_b_32())


def test_norms_of_any_class_have_no_weights():
    class PositionNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 4))

    assert weight_names(nn.Sequential(PositionNorm(), nn.LayerNorm((3, 4)), nn.Linear(3, 4))) == {"2.weight"}


def test_parameters_exempted_by_a_submodule_are_not_decayed():
    backbone = timm_model("vit_tiny_patch16_224", 2, image_size=32)
    inside = exempt_from_decay(nn.ModuleDict({"backbone": backbone}))
    assert {"backbone.pos_embed", "backbone.cls_token"} <= inside
    assert not [name for name in inside if name.endswith(("qkv.weight", "proj.weight", "head.weight"))]


def test_biases_of_recurrent_layers():
    model = GRU(3, vocab_size=9, hidden_size=4, num_layers=2, bidirectional=True, pooling="attention")
    assert others(model) == {name for name, _ in model.named_parameters() if "bias" in name}
    assert {"embedding.weight", "attention.score.weight", "layers.rnn.weight_hh_l1_reverse"} <= weight_names(
        model
    )
    assert others(Perceptron(4, 2)) == {
        name for name, _ in Perceptron(4, 2).named_parameters() if "bias" in name
    }


@pytest.mark.parametrize("option", OPTIONS, ids=lambda path: path.stem)
def test_every_option_of_the_model_group(option):
    """Of all models here: what is no bias and belongs to no norm is a weight, but for a few tokens."""
    node = yaml.safe_load(option.read_text())
    arguments = {
        key: FACTS.get(value, value) if isinstance(value, str) else value for key, value in node.items()
    }
    with torch.device(
        "cpu" if option.stem == "segformer" else "meta"
    ):  # its schedule of depths reads numbers
        model = resolve_target(arguments.pop("_target_"))(**arguments)
    norms = (nn.BatchNorm2d, nn.BatchNorm1d, nn.GroupNorm, nn.LayerNorm)
    expected = TOKENS_AND_POSITIONS.get(option.stem, set()) | {
        f"{prefix}.{name}".lstrip(".")
        for prefix, module in model.named_modules()
        for name, _ in module.named_parameters(recurse=False)
        if "bias" in name or isinstance(module, norms)
    }
    assert others(model) == expected
    groups = parameter_groups(model.requires_grad_())
    spared = {id(p) for group in groups if group.get("weight_decay") == 0.0 for p in group["params"]}
    assert {id(p) for name, p in model.named_parameters() if name in expected} <= spared
