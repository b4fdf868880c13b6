"""Early stopping whose patience may be changed while a run is under way."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import callbacks

from runner.tasks.base import Task

__all__ = ["EarlyStopping", "early_stopping"]


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's, but a checkpoint brings how long it has waited, and not how long it is to wait."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict | {"patience": self.patience})


def early_stopping(task: Task, settings: dict[str, Any]) -> EarlyStopping:
    """By the task's monitored metric. A metric that one validation leaves undefined is skipped there: ``MonitorCheck``
    has already rejected one that is never logged."""
    at_epoch_end = {"check_on_train_epoch_end": True} if task.monitor.startswith("train/") else {}
    return EarlyStopping(monitor=task.monitor, mode=task.mode, **{"strict": False} | at_epoch_end | settings)
