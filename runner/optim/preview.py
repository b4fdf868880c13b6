"""Previews a schedule's learning rates without training."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch

from runner.optim.schedule import Schedule

__all__ = ["preview_schedule"]


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
                schedule.scheduler.step(1.0) if schedule.needs_metric else schedule.scheduler.step()
    return rates, momenta if max(momenta) - min(momenta) > 1e-9 else None
