"""The monitored metric must exist after the first validation, not only when a callback first needs it."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from runner.config.monitor import unknown_metric
from runner.errors import UserError

__all__ = ["MonitorCheck"]


class MonitorCheck(pl.Callback):
    """Ends a run whose monitored metric is not among those that its first validation logged.

    Metrics of the training split (``train/…``) are checked at the end of the first epoch.

    Args:
        required: whether the task's metric must exist; that of the scheduler always must.
    """

    def __init__(self, required: bool):
        self.required = required
        self._checked: set[str] = set()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """
        Raises:
            UserError: a monitored metric was not logged.
        """
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._check("val/", trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """
        Raises:
            UserError: a monitored metric was not logged.
        """
        if trainer.current_epoch > 0 and trainer.callback_metrics:
            self._check("train/", trainer, pl_module)

    def _check(self, split: str, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if split in self._checked:
            return
        self._checked.add(split)
        wanted = {"task.monitor": pl_module.monitor} if self.required else {}
        for entry in trainer.lr_scheduler_configs:
            if entry.reduce_on_plateau and entry.monitor:
                wanted["scheduler.monitor"] = entry.monitor
        logged = [name for name in trainer.callback_metrics if name.startswith(("val/", "train/"))]
        for key, name in wanted.items():
            if name.startswith(split) and name not in logged:
                raise UserError(unknown_metric(key, name, logged))
