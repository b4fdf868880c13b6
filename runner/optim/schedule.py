"""The return type of schedules, the checks shared by them, and their preview."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from runner.errors import UserError

__all__ = ["Schedule", "epochs_to_steps", "preview_schedule", "require", "require_length"]


@dataclass(frozen=True)
class Schedule:
    """A scheduler, and when to step it.

    Attributes:
        scheduler: a PyTorch learning-rate scheduler.
        interval: after every optimizer step, or after every validated epoch.
        monitor: the metric that ``scheduler.step`` takes; none for a curve fixed beforehand.
    """

    scheduler: LRScheduler
    interval: Literal["step", "epoch"] = "step"
    monitor: str | None = None

    @property
    def needs_metric(self) -> bool:
        return self.monitor is not None


def require(holds: bool, message: str) -> None:
    """Raise a UserError with ``message`` unless it holds."""
    if not holds:
        raise UserError(message)


def require_length(name: str, total_steps: int, steps_per_epoch: int) -> None:
    """Reject a training of unknown or zero length."""
    require(
        total_steps >= 1 and steps_per_epoch >= 1,
        f"scheduler={name} needs to know how long the training is, and got {total_steps} steps in all, "
        f"{steps_per_epoch} an epoch. Give trainer.max_epochs or trainer.max_steps.",
    )


def epochs_to_steps(epochs: float, steps_per_epoch: int) -> int:
    """Number of optimizer steps in ``epochs`` epochs, at least one."""
    return max(1, round(epochs * steps_per_epoch))


def preview_schedule(
    optimizer_factory: Callable[..., Any],
    scheduler_factory: Callable[..., Schedule | None] | None,
    total_steps: int,
    steps_per_epoch: int,
) -> tuple[list[float], list[float] | None]:
    """Learning rate and momentum at each step; momentum is None if it is constant.

    A schedule that depends on a metric is shown as if the metric never improved.
    """
    parameter = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = optimizer_factory([{"params": [parameter], "lr_factor": 1.0}])
    schedule = None
    if scheduler_factory is not None:
        schedule = scheduler_factory(optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
    group = optimizer.param_groups[0]
    rates, momenta = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the preview never calls optimizer.step() before scheduler.step()
        for step in range(1, total_steps + 1):
            rates.append(float(group["lr"]))
            momenta.append(float(group["betas"][0] if "betas" in group else group.get("momentum", 0.0)))
            if schedule is None:
                continue
            if schedule.interval == "step":
                schedule.scheduler.step()
            elif step % steps_per_epoch == 0:
                if isinstance(schedule.scheduler, ReduceLROnPlateau):
                    schedule.scheduler.step(1.0)
                else:
                    schedule.scheduler.step()
    return rates, momenta if max(momenta) - min(momenta) > 1e-9 else None
