"""Small tasks around which a landscape is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from runner.cli import main
from runner.tasks.regression import RegressionTask


@pytest.fixture
def regression() -> Callable[..., tuple[RegressionTask, list[dict]]]:
    """``regression(model)``: the task of a mean squared error in evaluation mode, and three batches of
    unequal size.
    """

    def make(model: nn.Module, in_features: int = 4) -> tuple[RegressionTask, list[dict]]:
        draw = torch.Generator().manual_seed(3)
        batches = [
            {
                "inputs": torch.randn(n, in_features, generator=draw),
                "targets": torch.randn(n, 1, generator=draw),
            }
            for n in (16, 16, 5)
        ]
        return RegressionTask(model).eval(), batches

    return make


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four epochs on the digits that keeps all its checkpoints."""
    root = tmp_path_factory.mktemp("landscape") / "runs"
    words = [
        "model=mlp",
        "model.hidden_sizes=[16]",
        "data=digits",
        "tracking=none",
        "hardware=cpu",
        "trainer.max_epochs=4",
    ]
    words += [
        "checkpoint.keep_last=9",
        "plots=false",
        "baselines=false",
        "report=false",
        f"run.root={root}",
        "run.name=digits",
    ]
    assert main(["train", *words]) == 0
    return root / "digits"
