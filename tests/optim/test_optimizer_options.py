"""Every option of the group ``optimizer``: it trains, and goes on after a checkpoint as if never stopped."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
import yaml
from torch.nn import functional

from runner.config.build import resolve_target
from runner.models.mlp import MLP
from runner.optim.groups import build_optimizer

OPTIONS = sorted((Path(__file__).resolve().parents[2] / "conf" / "optimizer").glob("*.yaml"))
NO_DECAY = ("lbfgs", "rprop")
"""torch gives these no weight decay."""
INPUTS = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
TARGETS = (INPUTS.sum(1) > 0).long()


def start(option: Path) -> tuple[MLP, torch.optim.Optimizer]:
    node = yaml.safe_load(option.read_text())
    assert node.pop("_partial_") is True
    assert node.pop("weight_decay", None) == (
        None if option.stem in NO_DECAY else "${regularization.weight_decay}"
    )
    torch.manual_seed(0)
    model = MLP(6, 2, [8], normalization="layer")
    decay = {} if option.stem in NO_DECAY else {"weight_decay": 0.01}
    factory = functools.partial(resolve_target(node.pop("_target_")), **decay, **node)
    return model, build_optimizer(factory, model)


def train(model: MLP, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(INPUTS), TARGETS)
            loss.backward()
            return loss

        losses.append(optimizer.step(closure).item())
    return losses


@pytest.mark.parametrize("option", OPTIONS, ids=lambda path: path.stem)
def test_trains_and_resumes_bit_for_bit(option, through_a_file):
    model, optimizer = start(option)
    losses = train(model, optimizer, 5)
    saved = through_a_file({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    losses += train(model, optimizer, 5)
    assert losses[-1] < losses[0]
    other, resumed = start(option)
    other.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["optimizer"])
    assert train(other, resumed, 5) == losses[5:]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_fused_optimizer_gives_the_same_result(name):
    option = next(path for path in OPTIONS if path.stem == name)
    (fused_model, fused), (model, plain) = start(option), start(option)
    for group in plain.param_groups:
        assert group["fused"] is True
        group["fused"] = False
    train(fused_model, fused, 10)
    train(model, plain, 10)
    for ours, theirs in zip(fused_model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
