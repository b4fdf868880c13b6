"""Decaying schedules: step, multistep, exponential, polynomial, cosine, and on a plateau."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ExponentialLR,
    LambdaLR,
    MultiStepLR,
    PolynomialLR,
    ReduceLROnPlateau,
    StepLR,
)

from runner.optim.schedule import Schedule, epochs_to_steps, require, require_length

__all__ = ["WarmupCosine", "cosine", "exponential", "multistep", "plateau", "polynomial", "step"]


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
        mode: whether a lower or a higher value is better; only needed for a metric whose name does not show
            it.
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


def step(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    every_epochs: Annotated[float, Gt(0)] = 4.0,
    gamma: Annotated[float, Gt(0), Le(1)] = 0.1,
) -> Schedule:
    """Multiply the learning rate by ``gamma`` every ``every_epochs`` epochs."""
    require_length("step", total_steps, steps_per_epoch)
    require(
        every_epochs > 0, f"scheduler.every_epochs={every_epochs}: a number of epochs above 0 was expected."
    )
    _require_gamma(gamma)
    return Schedule(StepLR(optimizer, epochs_to_steps(every_epochs, steps_per_epoch), gamma))


def multistep(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    milestones: Annotated[Sequence[Annotated[float, Gt(0), Lt(1)]], MinLen(1)] = (0.5, 0.75),
    gamma: Annotated[float, Gt(0), Le(1)] = 0.1,
) -> Schedule:
    """Multiply the learning rate by ``gamma`` at each milestone, given as a share of the training."""
    require_length("multistep", total_steps, steps_per_epoch)
    require(
        bool(milestones) and all(0 < milestone < 1 for milestone in milestones),
        f"scheduler.milestones={list(milestones)}: shares of the training between 0 and 1 were expected, "
        "such as [0.5, 0.75].",
    )
    _require_gamma(gamma)
    steps = sorted(max(1, round(milestone * total_steps)) for milestone in milestones)
    return Schedule(MultiStepLR(optimizer, steps, gamma))


def exponential(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    gamma: Annotated[float, Gt(0), Le(1)] = 0.9,
) -> Schedule:
    """Multiply the learning rate by ``gamma`` per epoch, in equal factors at every step."""
    require_length("exponential", total_steps, steps_per_epoch)
    _require_gamma(gamma)
    return Schedule(ExponentialLR(optimizer, gamma ** (1 / steps_per_epoch)))


def polynomial(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    power: Annotated[float, Gt(0)] = 0.9,
) -> Schedule:
    """Decay to zero as ``(1 − t / total)^power``; power 1 is linear."""
    require_length("polynomial", total_steps, steps_per_epoch)
    require(power > 0, f"scheduler.power={power}: a power above 0 was expected.")
    return Schedule(PolynomialLR(optimizer, total_steps, power))


def cosine(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    pct_start: Annotated[float, Ge(0), Lt(1)] = 0.05,
    warmup_epochs: Annotated[float, Ge(0)] | None = None,
    floor: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> Schedule:
    """Linear warmup, then decay along half a cosine (Loshchilov and Hutter, "SGDR", 2016).

    Args:
        optimizer: its learning rate is the peak.
        total_steps: steps of the whole training.
        steps_per_epoch: steps of an epoch.
        pct_start: share of the training that rises.
        warmup_epochs: epochs that rise, instead of ``pct_start``.
        floor: where the fall ends, as a share of the peak.

    Raises:
        UserError: a share outside 0 … 1, or a rise as long as the whole training.
    """
    require_length("cosine", total_steps, steps_per_epoch)
    require(0 <= pct_start < 1, f"scheduler.pct_start={pct_start}: a share from 0 to below 1 was expected.")
    require(0 <= floor < 1, f"scheduler.floor={floor}: a share of the peak from 0 to below 1 was expected.")
    warmup_steps = int(pct_start * total_steps)
    if warmup_epochs is not None:
        warmup_steps = round(warmup_epochs * steps_per_epoch)
        require(
            0 <= warmup_steps < total_steps,
            f"scheduler.warmup_epochs={warmup_epochs} is {warmup_steps} steps, and the whole training has "
            f"{total_steps}. Warm up for fewer epochs, or train for more.",
        )
    return Schedule(LambdaLR(optimizer, WarmupCosine(total_steps, warmup_steps, floor)))


@dataclass
class WarmupCosine:
    """The factor at a step. A class rather than a function, so that a checkpoint holds its plain numbers."""

    total_steps: int
    warmup_steps: int
    floor: float

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        progress = min(1.0, (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress)) / 2


def _require_gamma(gamma: float) -> None:
    require(0 < gamma <= 1, f"scheduler.gamma={gamma}: a factor above 0 and up to 1 was expected.")
