"""Parameters with a learning rate and options of their own, by patterns; and what some optimizers cannot
train.
"""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from runner.errors import UserError
from runner.models.mlp import MLP
from runner.optim.groups import build_optimizer, mark_groups
from runner.optim.timm import timm_optimizer

SGD = functools.partial(torch.optim.SGD, lr=1.0, weight_decay=0.1, momentum=0.9)


def groups_by_name(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, dict]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(p)]: group for group in optimizer.param_groups for p in group["params"]}


def test_first_matching_rule_applies():
    model = MLP(4, 3, [5, 6])
    rules = [
        {"match": r"backbone\.0", "lr_factor": 0.1, "options": {"momentum": 0.5, "weight_decay": 0.3}},
        {"match": "backbone", "lr_factor": 0.5, "options": {}},
    ]
    mark_groups(model, rules)
    groups = groups_by_name(model, build_optimizer(SGD, model))
    assert (groups["backbone.0.weight"]["lr"], groups["backbone.2.weight"]["lr"]) == (0.1, 0.5)
    assert (groups["backbone.0.weight"]["momentum"], groups["backbone.2.weight"]["momentum"]) == (0.5, 0.9)
    assert groups["backbone.0.bias"]["weight_decay"] == 0.3  # asked for, so biases too
    assert groups["head.weight"]["lr"] == 1.0 and groups["head.bias"]["weight_decay"] == 0.0


def test_rule_without_matches_is_rejected_with_the_existing_names():
    with pytest.raises(UserError, match=r"'encoder' matches no parameter. There are: backbone.0.weight"):
        mark_groups(MLP(4, 3), [{"match": "encoder"}])
    with pytest.raises(UserError, match="no regular expression"):
        mark_groups(MLP(4, 3), [{"match": "("}])


def test_unknown_optimizer_option_is_rejected():
    model = MLP(4, 3)
    mark_groups(model, [{"match": "head", "options": {"wieght_decay": 0}}])
    with pytest.raises(UserError, match=r"SGD knows no 'wieght_decay'. Options of a group: .*, weight_decay"):
        build_optimizer(SGD, model)
    mark_groups(model, [{"match": "head", "options": {"weight_decay": 0.1}}])
    with pytest.raises(UserError, match="Rprop knows no 'weight_decay'"):
        build_optimizer(functools.partial(torch.optim.Rprop, lr=1.0), model)


def test_lbfgs_does_not_support_parameter_groups():
    lbfgs = functools.partial(torch.optim.LBFGS, lr=1.0)
    assert len(build_optimizer(lbfgs, MLP(4, 3)).param_groups) == 1
    model = MLP(4, 3)
    mark_groups(model, [{"match": "head", "lr_factor": 0.1}])
    with pytest.raises(UserError, match="LBFGS trains all parameters alike"):
        build_optimizer(lbfgs, model)


def test_optimizers_with_parameter_restrictions_report_them():
    with pytest.raises(UserError, match="optimizer=muon"):
        build_optimizer(functools.partial(torch.optim.Muon, lr=0.1), MLP(4, 3))
    with pytest.raises(UserError, match="SparseAdam trains sparse gradients only"):
        build_optimizer(functools.partial(torch.optim.SparseAdam, lr=0.1), MLP(4, 3))
    embedding = nn.Embedding(5, 3, sparse=True)
    assert build_optimizer(functools.partial(torch.optim.SparseAdam, lr=0.1), embedding)


@pytest.mark.parametrize("name", ["adan", "adopt", "lars", "mars"])
def test_timm_optimizers_by_name(name):
    model = MLP(4, 3)
    optimizer = build_optimizer(functools.partial(timm_optimizer, name=name, lr=0.01), model)
    before = model.head.weight.detach().clone()
    for _ in range(2):  # the first step of some only looks
        model(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()
    assert not torch.equal(before, model.head.weight)


def test_unknown_timm_name_gets_a_suggestion():
    with pytest.raises(UserError, match="Nearest: .*adan"):
        timm_optimizer([torch.nn.Parameter(torch.zeros(1))], "adann", lr=0.1)
    with pytest.raises(UserError, match="cannot be built"):
        timm_optimizer([torch.nn.Parameter(torch.zeros(1))], "adan", lr=0.1, options={"speed": 3})
