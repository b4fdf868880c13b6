"""The return type of schedules, and the checks shared by them.

A schedule is a factory, called as ``factory(optimizer, total_steps=…, steps_per_epoch=…)``. The optimizer's
learning rate is the highest one in every schedule; a step is an optimizer update.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch.optim.lr_scheduler import LRScheduler

from runner.errors import UserError

__all__ = ["Schedule", "epochs_to_steps", "require", "require_length"]


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
