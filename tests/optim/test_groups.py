import functools

import pytest
import torch
from torch import nn

from runner.errors import UserError
from runner.models.head import split_parameters
from runner.models.small_cnn import SmallCNN
from runner.optim.groups import build_optimizer, parameter_groups, set_lr_factor


def owners(model: nn.Module, group: dict) -> set[str]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)] for parameter in group["params"]}


def test_norms_and_biases_are_not_decayed():
    model = SmallCNN(2, widths=[3])
    decayed, spared = parameter_groups(model)
    assert owners(model, decayed) == {"backbone.0.weight", "head.weight"}
    assert owners(model, spared) == {"backbone.1.weight", "backbone.1.bias", "head.bias"}
    assert "weight_decay" not in decayed and spared["weight_decay"] == 0.0


def test_decay_shrinks_weights_only():
    model = SmallCNN(2, widths=[3])
    nn.init.ones_(model.head.bias)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = build_optimizer(functools.partial(torch.optim.SGD, lr=0.1, weight_decay=0.5), model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 0.95 if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_parameters_exempted_by_the_model_are_not_decayed():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.position = nn.Parameter(torch.zeros(2, 3))
            self.head = nn.Linear(3, 2, bias=False)

        def no_weight_decay(self):
            return {"position"}

    model = Model()
    by_decay = {group.get("weight_decay"): owners(model, group) for group in parameter_groups(model)}
    assert by_decay == {0.0: {"position"}, None: {"head.weight"}}


def test_frozen_parameters_are_excluded():
    model = SmallCNN(2)
    model.backbone.requires_grad_(False)
    assert set().union(*(owners(model, group) for group in parameter_groups(model))) == {
        "head.weight",
        "head.bias",
    }
    model.head.requires_grad_(False)
    with pytest.raises(UserError, match="No parameter of SmallCNN is trainable"):
        parameter_groups(model)


def test_backbone_with_reduced_learning_rate():
    model = SmallCNN(2)
    backbone, head = split_parameters(model)
    set_lr_factor(backbone, 0.1)
    optimizer = build_optimizer(functools.partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1), model)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rates[id(p)] for p in head} == {0.01}
    assert [rates[id(p)] for p in backbone] == pytest.approx([0.001] * len(backbone))
    assert sorted((g["lr_factor"], g["weight_decay"]) for g in optimizer.param_groups) == [
        (0.1, 0.0), (0.1, 0.1), (1.0, 0.0), (1.0, 0.1),
    ]  # fmt: skip


def test_every_parameter_is_in_one_group_in_a_stable_order():
    model = SmallCNN(2)
    groups = parameter_groups(model)
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in model.parameters())
    assert listed == [id(p) for group in parameter_groups(model) for p in group["params"]]


def test_fused_optimizers_leave_unscaling_to_the_trainer():
    optimizer = build_optimizer(functools.partial(torch.optim.AdamW, lr=0.1, fused=True), SmallCNN(2))
    assert optimizer._step_supports_amp_scaling is False


def test_settings_rejected_by_the_optimizer_are_user_errors():
    with pytest.raises(UserError, match="Invalid learning rate: -1"):
        build_optimizer(functools.partial(torch.optim.Adam, lr=-1.0), SmallCNN(2))
    with pytest.raises(UserError, match="Nesterov"):
        build_optimizer(functools.partial(torch.optim.SGD, lr=0.1, nesterov=True), SmallCNN(2))
