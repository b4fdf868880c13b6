"""Changes of the learning rate and of the schedule's length when a run is resumed with other settings."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytorch_lightning as pl
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

__all__ = ["OptimizerSettings", "ScheduleLength"]

RATES_OF_GROUP = ("lr", "initial_lr", "max_lr", "min_lr")
RATES_OF_SCHEDULER = ("base_lrs", "max_lrs", "_last_lr")


class OptimizerSettings(pl.Callback):
    """Puts the config's settings of the optimizer in the place of those that a checkpoint was written with.

    A checkpoint holds the optimizer's groups, and loading it would bring back what the config said then. A
    learning rate is changed in proportion, so that schedules and discriminative rates keep their shape;
    another setting is changed in the groups that had the old value.

    Args:
        settings: numbers and lists of the config's optimizer node.
        lr_scale: an additional factor of the learning rate, which is lower after a rollback.
    """

    def __init__(self, settings: dict[str, Any], lr_scale: float = 1.0) -> None:
        kinds = (int, float, bool, list)
        self.settings = {k: v for k, v in settings.items() if isinstance(v, kinds) and not k.startswith("_")}
        self.lr_scale = lr_scale
        self._before: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"settings": dict(self.settings), "lr_scale": self.lr_scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._before = state

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        before = self._before or {"settings": self.settings, "lr_scale": 1.0}
        self._before = None
        old_lr, new_lr = before["settings"].get("lr"), self.settings.get("lr")
        ratio = self.lr_scale / before["lr_scale"]
        if old_lr and new_lr and old_lr != new_lr:
            ratio *= new_lr / old_lr
        if ratio != 1:
            for optimizer in trainer.optimizers:
                scale_groups(optimizer, ratio)
            for config in trainer.lr_scheduler_configs:
                scale_scheduler(config.scheduler, ratio)
        for key, value in self.settings.items():
            old = before["settings"].get(key)
            if key != "lr" and key in before["settings"] and old != value:
                for optimizer in trainer.optimizers:
                    replace_in_groups(optimizer, key, old, value)


def scale_groups(optimizer: Optimizer, ratio: float) -> None:
    for group in optimizer.param_groups:
        for key in RATES_OF_GROUP:
            if key in group:
                group[key] = group[key] * ratio


def scale_scheduler(scheduler: Any, ratio: float) -> None:
    """And those it is made of."""
    for inner in getattr(scheduler, "_schedulers", ()):
        scale_scheduler(inner, ratio)
    for name in RATES_OF_SCHEDULER:
        rates = getattr(scheduler, name, None)
        if isinstance(rates, list):
            setattr(scheduler, name, [rate * ratio for rate in rates])


def replace_in_groups(optimizer: Optimizer, key: str, old: Any, new: Any) -> None:
    for group in optimizer.param_groups:
        if key in group and plain(group[key]) == old:
            group[key] = tuple(new) if isinstance(group[key], tuple) else new


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


SETTLED = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")
"""What schedules write into an optimizer's groups when they are made."""

log = logging.getLogger("runner.schedule")


class ScheduleLength(pl.Callback):
    """Gives a schedule that depends on the length of the training the length of now.

    A checkpoint brings the schedule as it was planned when it was written: one that had come to its end would
        stay
    there, and a resumed training would have a learning rate of zero. From here on it has the rates that a
    training of the new length has at this step. Before ``OptimizerSettings`` among the callbacks.
    """

    def __init__(self) -> None:
        self._total = 0
        self._before = 0

    def state_dict(self) -> dict[str, Any]:
        return {"total_steps": self._total}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._before = state["total_steps"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        before, self._before = self._before, 0
        self._total = pl_module.planned_steps()
        if before and self._total and before != self._total and trainer.lr_scheduler_configs:
            self.stretch(trainer, pl_module, before)

    def stretch(self, trainer: pl.Trainer, pl_module: pl.LightningModule, before: int) -> None:
        optimizer, scheduler = trainer.optimizers[0], trainer.lr_scheduler_configs[0].scheduler
        groups = [dict(group) for group in optimizer.param_groups]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a step that is named; no update before it
            old, new = (planned_anew(pl_module, optimizer, groups, total) for total in (before, self._total))
            if old.state_dict() == new.state_dict():  # it does not depend on the length
                put_back(optimizer, groups)
                return
            new.step(scheduler.last_epoch)
        scheduler.load_state_dict(new.state_dict())
        rates = groups[0]["lr"], optimizer.param_groups[0]["lr"]
        log.warning(
            "the schedule was planned for %d steps and is now for %d: the learning rate was %.3g and is now "
            "%.3g.",
            before, self._total, *rates,
        )  # fmt: skip


def planned_anew(
    pl_module: pl.LightningModule, optimizer: Optimizer, groups: list[dict[str, Any]], total_steps: int
) -> LRScheduler:
    """A schedule of that length at its first step, with the highest rates of ``groups``; the optimizer is at
    it too.
    """
    put_back(optimizer, groups)
    for group in optimizer.param_groups:
        group["lr"] = group.get("max_lr", group["initial_lr"])
        for key in SETTLED:
            group.pop(key, None)
    return pl_module.make_schedule(optimizer, total_steps).scheduler


def put_back(optimizer: Optimizer, groups: list[dict[str, Any]]) -> None:
    for group, before in zip(optimizer.param_groups, groups, strict=True):
        group.clear()
        group.update(before)
