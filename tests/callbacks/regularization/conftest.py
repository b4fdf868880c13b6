"""A tiny training by the program's own trainer, with one option of the group turned on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from runner.config.compose import compose
from runner.config.plain import to_yaml
from runner.run.directory import RunDir
from runner.run.files import write_text
from runner.training import trainer
from runner.training.worker import execute
from tests.overrides import QUIET

QUICK = [
    *QUIET,
    "hardware=cpu",
    "regularization=none",
    "data=digits",
    "model=small_cnn",
    "data.augment=${regularization.augment}",
    "data.batch_size=40",
    "trainer.max_epochs=2",
    "+trainer.limit_train_batches=4",
    "+trainer.limit_val_batches=2",
    "+trainer.limit_test_batches=1",
    "trainer.log_every_n_steps=1",
    "optimizer=sgd",
    "scheduler=none",
]


class Witness(pl.Callback):
    """What a training did: inputs and targets as the task got them, gradients as the optimizer got them,
    weights.
    """

    def __init__(self) -> None:
        self.inputs: list[torch.Tensor] = []
        self.targets: list[torch.Tensor] = []
        self.gradients: list[torch.Tensor] = []
        self.weights: list[dict[str, torch.Tensor]] = []
        self.validated: list[dict[str, torch.Tensor]] = []
        self.first_weights: dict[str, torch.Tensor] = {}
        self.model: Any = None

    def on_fit_start(self, trainer, pl_module) -> None:
        self.first_weights = copied(pl_module.model)

    def on_before_backward(self, trainer, pl_module, loss) -> None:
        self.weights_in_use = copied(pl_module.model)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.model = pl_module.model
        self.inputs.append(batch["inputs"].detach().clone())
        self.targets.append(batch["targets"].detach().clone())
        self.weights.append(copied(pl_module.model))
        found = [p.grad.flatten() for p in pl_module.model.parameters() if p.grad is not None]
        if found:
            self.gradients.append(torch.cat(found).clone())

    def on_validation_batch_end(
        self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0
    ) -> None:
        if batch_idx == 0 and trainer.state.fn == "fit":
            self.validated.append(copied(pl_module.model))


def copied(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def train_observed(folder: Path, overrides: Sequence[str], stop: pl.Callback | None = None) -> Witness:
    """Train in a run directory, or resume the run in it, and return the observations."""
    run, witness = RunDir(folder), Witness()
    if not run.config_path.exists():
        for part in (run.checkpoints, run.plots, run.logs):
            part.mkdir(parents=True)
        write_text(run.config_path, to_yaml(compose([*QUICK, *overrides]).config), durable=True)
    more = [callback for callback in (witness, stop) if callback is not None]
    make = trainer.make_callbacks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "make_callbacks", lambda *args: [*make(*args), *more])
        execute(run)
    return witness


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Witness]:
    """``trained(*overrides, name=…, stop=…)``: trains or resumes the run ``name``."""

    def train(*overrides: str, name: str = "run", stop: pl.Callback | None = None) -> Witness:
        return train_observed(tmp_path / name, overrides, stop)

    return train


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Witness]:
    """``trained_once(*overrides)``: a training that several tests compare with; it runs once."""

    @cache
    def train(*overrides: str) -> Witness:
        return train_observed(tmp_path_factory.mktemp("plain") / "run", overrides)

    return train
