"""Averages the weights over the training; the average is evaluated, saved and used, while the raw weights train."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from runner.regularize.batch_norm import measure_statistics, training_norms

__all__ = ["WeightAverage"]

KEY = "weight_average"
WARM_UP = 10
"""Number of steps after which the initial weights contribute at most a tenth, for any decay."""


class WeightAverage(pl.Callback):
    """An exponential moving average after every update, or a mean over the last epochs' final weights (Izmailov 2018).

    Validation sees the average with recomputed batch-norm statistics; a checkpoint's ``state_dict`` is the
    average; the raw weights, from which training resumes, are stored in addition.

    Args:
        ema: decay of the moving average; smaller in the first steps, so that the start is soon forgotten.
        swa: instead, the share of the training after which each epoch's last weights join a plain mean.
        seed: seed of random draws in the model while its batch-norm statistics are computed.
        max_batches: maximum number of training batches for the batch-norm statistics.
    """

    def __init__(self, ema: float | None, swa: float | None, seed: int, max_batches: int = 50):
        self.ema = ema
        self.swa = swa
        self.seed = seed
        self.max_batches = max_batches
        self.average: dict[str, Tensor] = {}
        self.count = 0
        self._raw: dict[str, Tensor] = {}
        self._norms: list[Any] = []
        self._statistics: dict[str, Tensor] = {}
        self._step = 0

    # The average

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._step = trainer.global_step
        self.average = {name: tensor.to(pl_module.device) for name, tensor in self.average.items()}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if batch_idx == 0 or not self._norms:
            self._norms = training_norms(pl_module.model)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        if self.ema or (self._ends_epoch(trainer, batch_idx) and self._is_late(trainer)):
            self._take(pl_module)

    def _ends_epoch(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        return batch_idx + 1 == trainer.num_training_batches or trainer.global_step == trainer.max_steps

    def _is_late(self, trainer: pl.Trainer) -> bool:
        return trainer.global_step > self.swa * trainer.estimated_stepping_batches

    @torch.no_grad()
    def _take(self, pl_module: pl.LightningModule) -> None:
        current = dict(pl_module.model.named_parameters())
        if not self.average:
            self.average = {name: weight.detach().clone() for name, weight in current.items()}
        share = 1 / (self.count + 1)
        if self.ema:
            share = 1 - min(self.ema, (1 + self.count) / (WARM_UP + self.count))
        torch._foreach_lerp_(
            list(self.average.values()), [current[name].detach() for name in self.average], share
        )
        self.count += 1

    # Its use

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or not self.average:
            return
        self._raw = {name: tensor.detach().clone() for name, tensor in pl_module.model.state_dict().items()}
        put(pl_module, self.average)
        measure_statistics(trainer, pl_module, self._norms, self.max_batches, self.seed)
        measured = {id(norm) for norm in self._norms}
        self._statistics = {
            f"{place}.{name}": buffer.detach().clone()
            for place, module in pl_module.model.named_modules()
            if id(module) in measured
            for name, buffer in module.named_buffers(recurse=False)
        }

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._raw:
            put(pl_module, self._raw)
            self._raw = {}

    # Checkpoints

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Works also during a validation, when the model holds the average."""
        if not self.average:
            return
        raw = self._raw or dict(pl_module.model.state_dict())
        averaged = raw | self._statistics | self.average
        kept = {name: tensor.detach().cpu().clone() for name, tensor in raw.items()}
        checkpoint[KEY] = {"raw": kept, "count": self.count, "statistics": dict(self._statistics)}
        checkpoint["state_dict"] = checkpoint["state_dict"] | {
            f"model.{name}": tensor.detach().cpu().clone() for name, tensor in averaged.items()
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = checkpoint.get(KEY)
        if trainer.state.fn != TrainerFn.FITTING or state is None:
            return
        parameters = dict(pl_module.model.named_parameters())
        self.average = {name: checkpoint["state_dict"][f"model.{name}"].clone() for name in parameters}
        self.count, self._statistics = state["count"], state["statistics"]
        put(pl_module, state["raw"])


@torch.no_grad()
def put(pl_module: pl.LightningModule, tensors: dict[str, Tensor]) -> None:
    """Copies tensors into the model's parameters and buffers."""
    own = pl_module.model.state_dict()
    for name, tensor in tensors.items():
        own[name].copy_(tensor)
