"""A schedule that reduces the learning rate when a metric stops improving."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from runner.optim.schedule import Schedule, require

__all__ = ["plateau"]


def plateau(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    monitor: str | None = None,
    mode: Literal["min", "max"] | None = None,
    factor: Annotated[float, Gt(0), Lt(1)] = 0.1,
    patience: Annotated[int, Ge(0)] = 3,
    threshold: Annotated[float, Ge(0)] = 1e-4,
    cooldown: Annotated[int, Ge(0)] = 0,
    min_lr: Annotated[float, Ge(0)] = 0.0,
) -> Schedule:
    """Multiply the learning rate by ``factor`` after ``patience`` epochs without a better ``monitor``.

    Args:
        optimizer: starts at its learning rate.
        total_steps: not used.
        steps_per_epoch: not used.
        monitor: the metric to watch; that of ``task.monitor`` when None, or else ``val/loss``.
        mode: whether a lower or a higher value is better; only needed for a metric whose name does not show it.
        factor: what the learning rate is multiplied by.
        patience: number of validated epochs without improvement before the learning rate is reduced.
        threshold: minimum relative change that counts as an improvement.
        cooldown: number of epochs after a reduction that are ignored.
        min_lr: lower bound of the learning rate.

    Raises:
        UserError: a value out of its range.
    """
    require(0 < factor < 1, f"scheduler.factor={factor}: a factor between 0 and 1 was expected.")
    require(patience >= 0, f"scheduler.patience={patience}: a number of epochs from 0 was expected.")
    monitor, mode = monitor or "val/loss", mode or "min"
    scheduler = ReduceLROnPlateau(
        optimizer, mode, factor, patience, threshold, cooldown=cooldown, min_lr=min_lr
    )
    return Schedule(scheduler, interval="epoch", monitor=monitor)
