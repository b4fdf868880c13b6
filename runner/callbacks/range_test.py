"""Records the losses of a learning-rate range test (Smith, 2017)."""

from __future__ import annotations

import math
import time
from typing import Any

import pytorch_lightning as pl

from runner.callbacks.lightning_internals import task_of
from runner.callbacks.progress import LINE_EVERY_S
from runner.distributed.collectives import mean_over_ranks
from runner.optim.range_test import RangeTest, smoothed, suggestions
from runner.report import console

__all__ = ["RangeTestRecorder"]


class RangeTestRecorder(pl.Callback):
    """Records learning rate and loss of every optimizer update, and ends training when the loss diverges.

    The loss of an update is the mean over its accumulated batches and over the ranks, so all ranks end at the
    same step.

    Args:
        memory: coefficient of the exponential smoothing, from 0 (none) to below 1.
        stop_factor: the loss has diverged if its smoothed value exceeds this multiple of the lowest.
    """

    def __init__(self, memory: float, stop_factor: float) -> None:
        self.memory = memory
        self.stop_factor = stop_factor
        self.test = RangeTest()
        self._losses: list[float] = []
        self._rate = 0.0
        self._step = 0
        self._next_line = time.monotonic() + LINE_EVERY_S

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = task_of(pl_module).last_train_loss
        self._losses.append(math.nan if loss is None else float(loss))
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        [mean] = mean_over_ranks(sum(self._losses) / len(self._losses))
        self._losses = []
        self._record(trainer, mean)
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_EVERY_S
            console.text(f"range test  step {self._step}/{trainer.max_steps}  lr {self._rate:.3g}")

    def _record(self, trainer: pl.Trainer, loss: float) -> None:
        test = self.test
        if not math.isfinite(loss):
            test.ended = f"the loss was {loss} at lr={self._rate:.3g}"
            trainer.should_stop = True
            return
        test.rates.append(self._rate)
        test.losses.append(loss)
        test.smoothed = smoothed(test.losses, self.memory)
        lowest = min(test.smoothed)
        # Also relative to the first loss, since losses may be close to zero or negative.
        if test.smoothed[-1] - lowest > (self.stop_factor - 1) * max(abs(lowest), 0.1 * abs(test.losses[0])):
            test.ended = f"the loss had diverged at lr={self._rate:.3g}"
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.test.ended = self.test.ended or "all steps were taken"
        self.test.suggestions = suggestions(self.test.rates, self.test.smoothed)
