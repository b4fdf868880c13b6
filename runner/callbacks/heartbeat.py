"""Reports the progress of this rank to the watchdog."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from runner.distributed.heartbeat import Heartbeat

__all__ = ["HeartbeatCallback"]


class HeartbeatCallback(Callback):
    """Updates the heartbeat at every phase of a batch.

    Args:
        heartbeat: heartbeat of this rank, read by the watchdog.
    """

    def __init__(self, heartbeat: Heartbeat) -> None:
        self.heartbeat = heartbeat

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.heartbeat.beat("fetching a batch")
        self.heartbeat.step, self.heartbeat.epoch = trainer.global_step, trainer.current_epoch

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.heartbeat.beat("forward pass", begins_batch=True)
        self.heartbeat.step, self.heartbeat.epoch = trainer.global_step, trainer.current_epoch

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Any) -> None:
        self.heartbeat.beat("backward pass")

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.heartbeat.beat("update")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.heartbeat.beat("fetching a batch")
        self.heartbeat.step = trainer.global_step

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.heartbeat.beat("idle")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.heartbeat.beat("idle")

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.training or trainer.validating:
            self.heartbeat.beat("saving")

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.heartbeat.beat("evaluating", begins_batch=True)

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.heartbeat.beat("evaluating", begins_batch=True)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.heartbeat.beat("computing metrics")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.heartbeat.beat("computing metrics")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.heartbeat.beat("fetching a batch" if trainer.state.fn == "fit" else "idle")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.heartbeat.beat("idle")
