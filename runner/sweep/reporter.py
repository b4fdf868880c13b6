"""The callback in a trial that tells the sweep how it goes, and ends the trial when the sweep says so."""

from __future__ import annotations

import math

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from runner.errors import Pruned
from runner.sweep.file_channel import MailboxChannel
from runner.sweep.socket_channel import Channel

__all__ = ["Reporter"]


class Reporter(pl.Callback):
    """
    Args:
        channel: of the first rank; None on the others.
        metric: what the sweep searches by; the task's monitored metric when None.
    """

    def __init__(self, channel: Channel | MailboxChannel | None, metric: str | None = None):
        self.channel = channel
        self.metric = metric

    def beat(self) -> None:
        if self.channel is not None:
            self.channel.beat()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.beat()

    def on_validation_batch_end(self, *args, **kwargs) -> None:
        self.beat()

    def on_test_batch_end(self, *args, **kwargs) -> None:
        self.beat()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        metric = self.metric or pl_module.monitor
        value = trainer.callback_metrics.get(metric)
        if value is None:
            return
        epoch = trainer.current_epoch + 1
        lags = self.channel.report(epoch, float(value)) if self.channel is not None else False
        if trainer.strategy.broadcast(lags):  # on every rank, or on none
            shown = f"{float(value):.4g}" if math.isfinite(value) else str(float(value))
            raise Pruned(f"pruned after epoch {epoch}: {metric} {shown} is worse than in the other trials")
