"""Applies a changed learning rate or training length to a resumed optimizer and schedule."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytorch_lightning as pl
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from runner.callbacks.lightning_internals import task_of
from runner.tasks.base import Task

__all__ = ["OptimizerSettings", "ScheduleLength"]

RATES_OF_GROUP = ("lr", "initial_lr", "max_lr", "min_lr")
RATES_OF_SCHEDULER = ("base_lrs", "max_lrs", "_last_lr")


class OptimizerSettings(pl.Callback):
    """Applies the config's optimizer settings to an optimizer restored from a checkpoint.

    A checkpoint contains the settings of the optimizer's groups, so loading it restores the old ones.
    Learning rates are scaled in proportion, so that schedules and discriminative learning rates keep their
    shape; other settings are replaced in the groups that have the old value.

    Args:
        settings: the config node ``optimizer``.
        lr_scale: additional factor of the learning rate, below 1 after a roll-back.
    """

    def __init__(self, settings: dict[str, Any], lr_scale: float = 1.0) -> None:
        kinds = (int, float, bool, list)
        self.settings = {k: v for k, v in settings.items() if isinstance(v, kinds) and not k.startswith("_")}
        self.lr_scale = lr_scale
        self._loaded: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"settings": dict(self.settings), "lr_scale": self.lr_scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loaded = state

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loaded = self._loaded or {"settings": self.settings, "lr_scale": 1.0}
        self._loaded = None
        old_lr, new_lr = loaded["settings"].get("lr"), self.settings.get("lr")
        ratio = self.lr_scale / loaded["lr_scale"]
        if old_lr and new_lr and old_lr != new_lr:
            ratio *= new_lr / old_lr
        if ratio != 1:
            for optimizer in trainer.optimizers:
                scale_groups(optimizer, ratio)
            for config in trainer.lr_scheduler_configs:
                scale_scheduler(config.scheduler, ratio)
        for key, value in self.settings.items():
            old = loaded["settings"].get(key)
            if key != "lr" and key in loaded["settings"] and old != value:
                for optimizer in trainer.optimizers:
                    replace_in_groups(optimizer, key, old, value)


def scale_groups(optimizer: Optimizer, ratio: float) -> None:
    """Multiply all learning rates of the optimizer's groups by ``ratio``."""
    for group in optimizer.param_groups:
        for key in RATES_OF_GROUP:
            if key in group:
                group[key] = group[key] * ratio


def scale_scheduler(scheduler: Any, ratio: float) -> None:
    """Multiply the learning rates of a schedule, and of the schedules it consists of, by ``ratio``."""
    for inner in getattr(scheduler, "_schedulers", ()):
        scale_scheduler(inner, ratio)
    for name in RATES_OF_SCHEDULER:
        rates = getattr(scheduler, name, None)
        if isinstance(rates, list):
            setattr(scheduler, name, [rate * ratio for rate in rates])


def replace_in_groups(optimizer: Optimizer, key: str, old: Any, new: Any) -> None:
    """Replace a setting in the optimizer's groups that have the old value."""
    for group in optimizer.param_groups:
        if key in group and without_tuple(group[key]) == old:
            group[key] = tuple(new) if isinstance(group[key], tuple) else new


def without_tuple(value: Any) -> Any:
    """Convert a tuple to a list, as in configs."""
    return list(value) if isinstance(value, tuple) else value


SCHEDULE_KEYS = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")
"""Entries that schedules add to an optimizer's groups when they are constructed."""

log = logging.getLogger("runner.schedule")


class ScheduleLength(pl.Callback):
    """Adapts a schedule restored from a checkpoint to the current length of the training.

    A checkpoint contains the schedule for the length planned when it was saved; a schedule that had already
    ended would keep a learning rate of zero. From now on the schedule has the rates of a training of the new
    length at this step. Must come before ``OptimizerSettings`` among the callbacks.
    """

    def __init__(self) -> None:
        self._total = 0
        self._loaded_total = 0

    def state_dict(self) -> dict[str, Any]:
        return {"total_steps": self._total}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loaded_total = state["total_steps"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        old_total, self._loaded_total = self._loaded_total, 0
        self._total = task_of(pl_module).planned_steps()
        if old_total and self._total and old_total != self._total and trainer.lr_scheduler_configs:
            self.change_length(trainer, task_of(pl_module), old_total)

    def change_length(self, trainer: pl.Trainer, task: Task, old_total: int) -> None:
        """Replace the state of the schedule by that of a schedule for the new length.

        Args:
            trainer: the trainer of a resumed run.
            task: builds the schedules.
            old_total: number of steps the schedule was planned for.
        """
        optimizer, scheduler = trainer.optimizers[0], trainer.lr_scheduler_configs[0].scheduler
        groups = [dict(group) for group in optimizer.param_groups]
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # torch warns of step(epoch) and of a step before the first update
            old = new_schedule(task, optimizer, groups, old_total)
            new = new_schedule(task, optimizer, groups, self._total)
            if old.state_dict() == new.state_dict():  # the schedule does not depend on the length
                restore_groups(optimizer, groups)
                return
            new.step(scheduler.last_epoch)
        scheduler.load_state_dict(new.state_dict())
        rates = groups[0]["lr"], optimizer.param_groups[0]["lr"]
        log.warning(
            "the schedule was planned for %d steps and is now for %d: the learning rate was %.3g and is now "
            "%.3g.",
            old_total, self._total, *rates,
        )  # fmt: skip


def new_schedule(
    task: Task, optimizer: Optimizer, groups: list[dict[str, Any]], total_steps: int
) -> LRScheduler:
    """Build a schedule at its first step, and set the optimizer to that step too.

    Args:
        task: builds the schedule.
        optimizer: its groups are replaced.
        groups: groups of the optimizer, whose highest learning rates the schedule uses.
        total_steps: number of steps of the schedule.
    """
    restore_groups(optimizer, groups)
    for group in optimizer.param_groups:
        group["lr"] = group.get("max_lr", group["initial_lr"])
        for key in SCHEDULE_KEYS:
            group.pop(key, None)
    schedule = task.make_schedule(optimizer, total_steps)
    assert schedule is not None  # only called for trainers with a schedule
    return schedule.scheduler


def restore_groups(optimizer: Optimizer, groups: list[dict[str, Any]]) -> None:
    """Replace the contents of the optimizer's groups."""
    for group, previous in zip(optimizer.param_groups, groups, strict=True):
        group.clear()
        group.update(previous)
