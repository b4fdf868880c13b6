"""A training that takes a second and draws at random wherever it can: what recovery is tried on."""

from __future__ import annotations

import hashlib
import logging
import math
import random
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from runner.callbacks.checkpoint import Checkpointer, last_checkpoint
from runner.callbacks.checkpoint_io import RunCheckpointIO
from runner.callbacks.exact_resume import ExactResume
from runner.callbacks.metrics_logger import JournalLogger, TrainMetrics
from runner.callbacks.non_finite_guard import NonFiniteGuard
from runner.callbacks.preemption import Preemption
from runner.data.base import DataModule
from runner.data.split import ArraySource, Split
from runner.run.directory import RunDir
from runner.run.journal import read_points

NUM_TRAIN, NUM_VAL, BATCH = 60, 24, 4


@dataclass
class Setting:
    """One way to train; all of it is fixed, so that two runs of a setting must not differ in one bit."""

    name: str = "plain"
    num_workers: int = 0
    epochs: int = 3
    accumulate: int = 1
    val_check_interval: float = 1.0
    check_val_every_n_epoch: int = 1
    plateau: bool = False
    patience: int | None = None
    trainer: dict[str, Any] = field(default_factory=dict)
    checkpoint: dict[str, Any] = field(default_factory=dict)


class TinyData(DataModule):
    """Four numbers, three classes; the training samples get noise from torch's generator."""

    def setup(self, stage: str | None = None) -> None:
        generator = torch.Generator().manual_seed(7)
        inputs = torch.randn(NUM_TRAIN + NUM_VAL, 4, generator=generator)
        targets = (inputs.sum(1) > 0).long() + (inputs[:, 0] > 1).long()
        source = ArraySource(inputs, targets)
        self.splits = {
            "train": Split(source, range(NUM_TRAIN), noise, seed=self.seed),
            "val": Split(source, range(NUM_TRAIN, NUM_TRAIN + NUM_VAL)),
        }


def noise(inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    return inputs + 0.1 * torch.randn_like(inputs), target


class TinyTask(pl.LightningModule):
    """Batch norm, dropout, Adam; draws from torch, numpy and Python in every hook that a task may have.

    Attributes:
        consumed: ``[epoch, index]`` of every sample trained on, in order; travels with the checkpoints.
    """

    monitor = "val/loss"
    mode = "min"

    def __init__(self, setting: Setting):
        super().__init__()
        self.setting = setting
        self.net = nn.Sequential(
            nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)
        )
        self.last_train_loss: Tensor | None = None
        self.consumed: list[list[int]] = []
        self._val: list[Tensor] = []

    def on_train_start(self) -> None:
        torch.rand(3)

    def on_train_epoch_start(self) -> None:
        torch.rand(2)

    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        batch["inputs"] = batch["inputs"] + 0.01 * torch.randn_like(batch["inputs"])
        return batch

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        torch.rand(1)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        self.consumed += [[self.current_epoch, index] for index in batch["index"].tolist()]
        weight = 1 + 0.1 * float(np.random.rand()) + 0.1 * random.random()
        loss = weight * F.cross_entropy(self.net(batch["inputs"]), batch["targets"])
        self.last_train_loss = loss.detach()
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        loss = F.cross_entropy(self.net(batch["inputs"]), batch["targets"])
        self._val.append(loss * (1 + 0.01 * torch.rand(())))

    def on_validation_start(self) -> None:
        self._val = []

    def on_validation_epoch_end(self) -> None:
        value = float(torch.stack(self._val).mean())
        self.log("val/loss", value, logger=False)
        self.trainer.logger.log_metrics({"val/loss": value}, step=self.trainer.global_step)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.02)
        if self.setting.plateau:
            plateau = ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "val/loss"}}
        total = max(1, int(self.trainer.estimated_stepping_batches))
        cosine = LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(1, step / total))))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["consumed"] = [list(pair) for pair in self.consumed]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.consumed = checkpoint["consumed"]


def make(run: RunDir, setting: Setting, *more: pl.Callback) -> tuple[pl.Trainer, TinyTask, TinyData]:
    """Trainer, task and data as the worker would put them together."""
    pl.seed_everything(1, verbose=False)
    for folder in (run.checkpoints, run.logs):
        folder.mkdir(parents=True, exist_ok=True)
    task = TinyTask(setting)
    data = TinyData(batch_size=BATCH, num_workers=setting.num_workers, seed=3)
    callbacks: list[pl.Callback] = [TrainMetrics(), NonFiniteGuard()]
    if setting.patience is not None:
        callbacks.append(EarlyStopping("val/loss", patience=setting.patience))
    callbacks += [ExactResume(), Checkpointer(**setting.checkpoint), Preemption(), *more]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=setting.epochs,
            accumulate_grad_batches=setting.accumulate,
            val_check_interval=setting.val_check_interval,
            check_val_every_n_epoch=setting.check_val_every_n_epoch,
            log_every_n_steps=2,
            logger=JournalLogger(run),
            callbacks=callbacks,
            plugins=[RunCheckpointIO()],
            default_root_dir=str(run.path),
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            **setting.trainer,
        )
    return trainer, task, data


def train(run: RunDir, setting: Setting, *more: pl.Callback) -> dict[str, Any]:
    """Trains from the newest checkpoint of ``run``, or from the beginning, to the end."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    trainer, task, data = make(run, setting, *more)
    newest = last_checkpoint(run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(task, datamodule=data, ckpt_path=str(newest) if newest else None, weights_only=True)
    trainer.logger.journal.close()
    return outcome(run, trainer, task)


def outcome(run: RunDir, trainer: pl.Trainer, task: TinyTask) -> dict[str, Any]:
    """All that must be equal however often the training was interrupted."""
    state = [task.state_dict(), [o.state_dict() for o in trainer.optimizers]]
    state.append([c.scheduler.state_dict() for c in trainer.lr_scheduler_configs])
    points = [[point.step, point.epoch, point.metrics] for point in read_points(run.metrics_path)]
    return {
        "digest": digest(state),
        "random": digest([torch.get_rng_state(), np.random.rand(), random.random()]),
        "consumed": task.consumed,
        "points": points,
        "step": trainer.global_step,
        "epoch": trainer.current_epoch,
        "logged_epoch": trainer.logger._epoch,
        "batches_that_stepped": trainer.fit_loop.epoch_loop._batches_that_stepped,
    }


def digest(value: Any) -> str:
    """SHA-256 of nested containers of tensors and numbers, exact to the bit."""
    sha = hashlib.sha256()

    def add(item: Any) -> None:
        if isinstance(item, Tensor):
            sha.update(str(item.dtype).encode() + item.detach().cpu().contiguous().numpy().tobytes())
        elif isinstance(item, dict):
            for key in sorted(item, key=str):
                sha.update(str(key).encode())
                add(item[key])
        elif isinstance(item, list | tuple):
            for one in item:
                add(one)
        else:
            sha.update(repr(item).encode())

    add(value)
    return sha.hexdigest()
