"""A schedule counts in whole epochs of the data, for every way to end the training."""

from __future__ import annotations

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from runner.optim.decay import plateau
from runner.tasks.base import StepOutput, Task

NUM_BATCHES = 12


class PlainTask(Task):
    """The least that trains."""

    def compute_loss(self, batch):
        return StepOutput(self.model(batch["inputs"]).square().mean(), {})


@pytest.mark.parametrize(
    ("lengths", "total_steps", "steps_per_epoch"),
    [
        ({"max_epochs": 3}, 36, 12),
        ({"max_epochs": 10, "max_steps": 20}, 20, 12),
        ({"max_epochs": -1, "max_steps": 20}, 20, 12),
        ({"max_epochs": 10, "max_steps": 5}, 5, 12),
        ({"max_epochs": 10, "max_steps": 4, "accumulate_grad_batches": 5}, 4, 3),
        ({"max_epochs": 2, "accumulate_grad_batches": 5}, 6, 3),
        ({"max_epochs": 10, "max_steps": 9, "limit_train_batches": 6}, 9, 6),
    ],
)
def test_schedule_receives_the_epoch_length(lengths, total_steps, steps_per_epoch):
    told = []

    def schedule(optimizer, **known):
        told.append(known)

    batches = DataLoader([{"inputs": torch.ones(2)}] * NUM_BATCHES, batch_size=1)
    task = PlainTask(nn.Linear(2, 1), lambda groups: torch.optim.SGD(groups, lr=0.1), schedule)
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = pl.Trainer(accelerator="cpu", devices=1, **quiet, **lengths)
    trainer.fit(task, batches)
    assert told == [{"total_steps": total_steps, "steps_per_epoch": steps_per_epoch}]
    assert trainer.global_step == total_steps


def test_plateau_schedule_waits_for_the_next_validation():
    batches = DataLoader([{"inputs": torch.ones(2), "targets": torch.zeros(1)}] * 4, batch_size=1)
    waiting = partial(plateau, patience=0, factor=0.5, threshold=0.99)
    task = PlainTask(nn.Linear(2, 1), lambda groups: torch.optim.SGD(groups, lr=1e-3), waiting)
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = pl.Trainer(accelerator="cpu", devices=1, max_epochs=5, check_val_every_n_epoch=2, **quiet)
    trainer.fit(task, batches, batches)
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.5e-3, "validated twice, the second time no better"
