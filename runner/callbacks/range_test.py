"""The loss at ever higher learning rates, until it diverges."""

from __future__ import annotations

import math

import pytorch_lightning as pl

from runner.distributed.collectives import mean_over_ranks
from runner.optim.range_test import RangeTest, smoothed, suggestions

__all__ = ["RangeTestRecorder"]


class RangeTestRecorder(pl.Callback):
    """Notes learning rate and loss of every optimizer update, and ends the training when the loss diverges.

    The loss of an update is the mean over its accumulated batches and over the ranks, so all ranks end
    together.

    Args:
        memory: of the smoothing, from 0 (none) to below 1.
        stop_factor: the loss has diverged if its smoothed value exceeds this multiple of the lowest.
    """

    def __init__(self, memory: float, stop_factor: float) -> None:
        self.memory = memory
        self.stop_factor = stop_factor
        self.test = RangeTest()
        self._losses: list[float] = []
        self._rate = 0.0
        self._step = 0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch, batch_idx
    ) -> None:
        self._rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self._losses.append(float(pl_module.last_train_loss))
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        [loss] = mean_over_ranks(sum(self._losses) / len(self._losses))
        self._losses = []
        self._note(trainer, loss)

    def _note(self, trainer: pl.Trainer, loss: float) -> None:
        test = self.test
        if not math.isfinite(loss):
            test.ended = f"the loss was {loss} at lr={self._rate:.3g}"
            trainer.should_stop = True
            return
        test.rates.append(self._rate)
        test.losses.append(loss)
        test.smoothed = smoothed(test.losses, self.memory)
        lowest = min(test.smoothed)
        # Relative to the first loss too, for a loss may come close to zero or go below it.
        if test.smoothed[-1] - lowest > (self.stop_factor - 1) * max(abs(lowest), 0.1 * abs(test.losses[0])):
            test.ended = f"the loss had diverged at lr={self._rate:.3g}"
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.test.ended = self.test.ended or "all steps were taken"
        self.test.suggestions = suggestions(self.test.rates, self.test.smoothed)
