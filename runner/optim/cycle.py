"""Schedules that rise and fall: one cycle, many cycles, cosine with warm restarts."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR

from runner.optim.schedule import Schedule, epochs_to_steps, require, require_length

__all__ = ["OneCycle", "cyclic", "one_cycle", "restarts"]


class OneCycle(OneCycleLR):
    """Keeps the lowest learning rate if training continues past the planned end.

    Where torch raises an error.
    """

    def get_lr(self) -> list[float | Tensor]:
        """Returns the learning rate of each group at the current step."""
        if self.last_epoch >= self.total_steps:
            return [group["min_lr"] for group in self.optimizer.param_groups]
        return super().get_lr()


def one_cycle(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    pct_start: Annotated[float, Ge(0), Lt(1)] = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    cycle_momentum: bool = True,
    base_momentum: Annotated[float, Ge(0), Lt(1)] = 0.85,
    max_momentum: Annotated[float, Ge(0), Lt(1)] = 0.95,
    div_factor: Annotated[float, Gt(0)] = 25.0,
    final_div_factor: Annotated[float, Gt(0)] = 1e4,
) -> Schedule:
    """Up once and down once (Smith and Topin, "Super-convergence", 2017).

    Args:
        optimizer: its learning rate is the peak.
        total_steps: steps of the whole training.
        steps_per_epoch: steps of an epoch.
        pct_start: share of the training that rises.
        anneal_strategy: along cosines, or straight lines.
        cycle_momentum: let momentum (or Adam's first beta) fall while the learning rate rises; acts where
            the optimizer has one above zero.
        base_momentum: momentum at the peak.
        max_momentum: momentum at both ends.
        div_factor: the peak over the first learning rate.
        final_div_factor: the first learning rate over the last.

    Raises:
        UserError: a value out of its range.
    """
    require_length("one_cycle", total_steps, steps_per_epoch)
    require(0 <= pct_start < 1, f"scheduler.pct_start={pct_start}: a share from 0 to below 1 was expected.")
    _require_momenta(base_momentum, max_momentum)
    for name, value in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
        require(value > 0, f"scheduler.{name}={value}: a divisor above 0 was expected.")
    if pct_start * total_steps == 1:
        pct_start *= 1 - 1e-9  # torch divides by the length of the rise, which would be 0 steps
    return Schedule(
        OneCycle(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=total_steps,
            pct_start=float(pct_start),
            anneal_strategy=anneal_strategy,
            cycle_momentum=cycle_momentum and _has_momentum(optimizer),
            base_momentum=base_momentum,
            max_momentum=max_momentum,
            div_factor=div_factor,
            final_div_factor=final_div_factor,
        )
    )


def cyclic(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    up_epochs: Annotated[float, Gt(0)] = 2.0,
    down_epochs: Annotated[float, Gt(0)] | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: Annotated[float, Gt(0), Lt(1)] = 0.9,
    div_factor: Annotated[float, Gt(1)] = 10.0,
    cycle_momentum: bool = True,
    base_momentum: Annotated[float, Ge(0), Lt(1)] = 0.8,
    max_momentum: Annotated[float, Ge(0), Lt(1)] = 0.9,
) -> Schedule:
    """Up and down in straight lines, again and again (Smith, "Cyclical learning rates", 2015).

    Args:
        optimizer: its learning rate is the upper bound.
        total_steps: steps of the whole training.
        steps_per_epoch: steps of an epoch.
        up_epochs: epochs of a rise.
        down_epochs: epochs of a fall; as long as the rise when null.
        mode: equal peaks, peaks halved from cycle to cycle, or peaks that shrink by ``gamma`` an epoch.
        gamma: acts with ``exp_range``.
        div_factor: the upper bound over the lower one.
        cycle_momentum: as in `one_cycle`.
        base_momentum: momentum at the peaks.
        max_momentum: momentum in the valleys.

    Raises:
        UserError: a value out of its range.
    """
    require_length("cyclic", total_steps, steps_per_epoch)
    down_epochs = up_epochs if down_epochs is None else down_epochs
    for name, value in (("up_epochs", up_epochs), ("down_epochs", down_epochs)):
        require(value > 0, f"scheduler.{name}={value}: a number of epochs above 0 was expected.")
    require(div_factor > 1, f"scheduler.div_factor={div_factor}: a divisor above 1 was expected.")
    require(0 < gamma < 1, f"scheduler.gamma={gamma}: a factor between 0 and 1 was expected.")
    _require_momenta(base_momentum, max_momentum)
    peaks = [group["lr"] for group in optimizer.param_groups]
    return Schedule(
        CyclicLR(
            optimizer,
            base_lr=[peak / div_factor for peak in peaks],
            max_lr=peaks,
            step_size_up=epochs_to_steps(up_epochs, steps_per_epoch),
            step_size_down=epochs_to_steps(down_epochs, steps_per_epoch),
            mode=mode,
            gamma=gamma ** (1 / steps_per_epoch),
            cycle_momentum=cycle_momentum and _has_momentum(optimizer),
            base_momentum=base_momentum,
            max_momentum=max_momentum,
        )
    )


def restarts(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    first_epochs: Annotated[float, Gt(0)] = 1.0,
    multiply: Annotated[int, Ge(1)] = 2,
) -> Schedule:
    """Half a cosine down to zero, then up at once and again (Loshchilov and Hutter, "SGDR", 2016).

    Args:
        optimizer: its learning rate is the peak.
        total_steps: steps of the whole training.
        steps_per_epoch: steps of an epoch.
        first_epochs: epochs of the first fall.
        multiply: how much longer each fall is than the one before.
    """
    require_length("restarts", total_steps, steps_per_epoch)
    require(
        first_epochs > 0, f"scheduler.first_epochs={first_epochs}: a number of epochs above 0 was expected."
    )
    require(multiply >= 1, f"scheduler.multiply={multiply}: a whole number from 1 was expected.")
    return Schedule(
        CosineAnnealingWarmRestarts(optimizer, epochs_to_steps(first_epochs, steps_per_epoch), multiply)
    )


def _has_momentum(optimizer: Optimizer) -> bool:
    return all("betas" in group or group.get("momentum", 0) > 0 for group in optimizer.param_groups)


def _require_momenta(base_momentum: float, max_momentum: float) -> None:
    require(
        0 <= base_momentum <= max_momentum < 1,
        f"scheduler.base_momentum={base_momentum}, scheduler.max_momentum={max_momentum}: "
        "0 ≤ base_momentum ≤ max_momentum < 1 was expected.",
    )
