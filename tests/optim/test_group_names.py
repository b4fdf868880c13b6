from __future__ import annotations

import torch
from torch import nn

from runner.optim.group_names import group_names
from runner.optim.groups import build_optimizer, set_lr_factor


def test_groups_are_named_after_their_modules_and_factor() -> None:
    net = nn.ModuleDict({"conv1": nn.Conv2d(1, 2, 3), "layer1": nn.Linear(2, 2), "fc": nn.Linear(2, 2)})
    set_lr_factor([*net["conv1"].parameters(), *net["layer1"].parameters()], 0.1)
    optimizer = build_optimizer(lambda groups: torch.optim.SGD(groups, lr=1.0), net)
    names = group_names(optimizer.param_groups, net)
    assert names["train/lr"] == "conv1 … layer1 (× 0.1)"
    assert "fc" in names.values() and len(names) <= 3


def test_a_single_rate_has_one_name() -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    optimizer = build_optimizer(lambda groups: torch.optim.SGD(groups, lr=1.0), net)
    assert group_names(optimizer.param_groups, net) == {"train/lr": "0"}
