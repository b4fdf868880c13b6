"""Tells the watchdog how far this rank has come."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from runner.ranks.pulse import Pulse

__all__ = ["Heartbeat"]


class Heartbeat(Callback):
    """
    Args:
        pulse: what the watchdog reads.
    """

    def __init__(self, pulse: Pulse):
        self.pulse = pulse

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.pulse.beat("fetching a batch")
        self.pulse.step, self.pulse.epoch = trainer.global_step, trainer.current_epoch

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.pulse.beat("forward pass", begins_batch=True)
        self.pulse.step, self.pulse.epoch = trainer.global_step, trainer.current_epoch

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Any) -> None:
        self.pulse.beat("backward pass")

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.pulse.beat("update")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.pulse.beat("fetching a batch")
        self.pulse.step = trainer.global_step

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.pulse.beat("idle")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.pulse.beat("idle")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.training or trainer.validating:
            self.pulse.beat("saving")

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0) -> None:
        self.pulse.beat("evaluating", begins_batch=True)

    def on_test_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0) -> None:
        self.pulse.beat("evaluating", begins_batch=True)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.pulse.beat("computing metrics")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.pulse.beat("computing metrics")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.pulse.beat("fetching a batch" if trainer.state.fn == "fit" else "idle")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.pulse.beat("idle")
