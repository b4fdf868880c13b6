"""One cycle per training phase: first the head alone, then all layers."""

from __future__ import annotations

import math
from typing import Annotated

from annotated_types import Ge, Gt, Lt
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from runner.optim.schedule import Schedule, require, require_length

__all__ = ["PhaseCycles", "phase_cycles"]


class PhaseCycles(LRScheduler):
    """Rises along a cosine to each group's own rate and falls again, once a phase.

    Momentum goes the other way.

    Args:
        ends: the step at which each phase ends.
        peaks: of each phase, as a part of the groups' own rates.
        pct_start: share of each phase that rises.
        div_factor: peak over the first rate of a phase.
        final_div_factor: the first rate over the last.
        momenta: highest and lowest; None leaves momentum alone.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        ends: list[int],
        peaks: list[float],
        pct_start: list[float],
        div_factor: float,
        final_div_factor: float,
        momenta: tuple[float, float] | None,
    ) -> None:
        self.ends = ends
        self.peaks = peaks
        self.pct_start = pct_start
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        self.momenta = momenta
        super().__init__(optimizer)

    def place(self, step: int) -> tuple[int, float, bool]:
        """Phase, progress of its rise or fall from 0 to 1, and whether it rises."""
        phase = next((i for i, end in enumerate(self.ends) if step < end), len(self.ends) - 1)
        begin = self.ends[phase - 1] if phase else 0
        length = max(1, self.ends[phase] - begin - 1)
        done, top = min(1.0, (step - begin) / length), self.pct_start[phase]
        return (phase, done / top, True) if done < top else (phase, (done - top) / (1 - top), False)

    def get_lr(self) -> list[float | Tensor]:
        """Returns the learning rate of each group at the current step."""
        phase, way, rises = self.place(self.last_epoch)
        first, last = 1 / self.div_factor, 1 / (self.div_factor * self.final_div_factor)
        height = along_cosine(first, 1.0, way) if rises else along_cosine(1.0, last, way)
        if self.momenta is not None:
            high, low = self.momenta
            self._set_momentum(along_cosine(high, low, way) if rises else along_cosine(low, high, way))
        return [base * self.peaks[phase] * height for base in self.base_lrs]

    def _set_momentum(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (value, *group["betas"][1:])
            else:
                group["momentum"] = value


def along_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def phase_cycles(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    head_epochs: Annotated[int, Ge(0)] = 1,
    head_pct_start: Annotated[float, Gt(0), Lt(1)] = 0.3,
    pct_start: Annotated[float, Gt(0), Lt(1)] = 0.3,
    fine_factor: Annotated[float, Gt(0)] = 0.5,
    div_factor: Annotated[float, Gt(0)] = 5.0,
    final_div_factor: Annotated[float, Gt(0)] = 1e4,
    cycle_momentum: bool = True,
    base_momentum: Annotated[float, Ge(0), Lt(1)] = 0.85,
    max_momentum: Annotated[float, Ge(0), Lt(1)] = 0.95,
) -> Schedule:
    """One cycle for the head alone and another for all layers, as in fast.ai's ``fine_tune``.

    Args:
        optimizer: its learning rate is the head's peak in the first phase.
        total_steps: steps of the whole training.
        steps_per_epoch: steps of an epoch.
        head_epochs: length of the first phase, as in ``transfer.head_epochs``; 0 leaves one cycle.
        head_pct_start: share of the first phase that rises.
        pct_start: share of the second phase that rises.
        fine_factor: peak of the second phase over that of the first.
        div_factor: a peak over the first learning rate of its phase.
        final_div_factor: the first learning rate of a phase over its last.
        cycle_momentum: let momentum (or Adam's first beta) go the other way; acts where there is one.
        base_momentum: momentum at the peaks.
        max_momentum: momentum at both ends.

    Raises:
        UserError: the head's epochs take up the whole training.
    """
    require_length("phase_cycles", total_steps, steps_per_epoch)
    head_steps = head_epochs * steps_per_epoch
    require(
        head_steps < total_steps,
        f"scheduler.head_epochs={head_epochs} is {head_steps} steps, and the whole training has "
        f"{total_steps}. Train "
        "the head for fewer epochs, or all for more; transfer=frozen trains the head alone.",
    )
    has_momentum = all("betas" in group or group.get("momentum", 0) > 0 for group in optimizer.param_groups)
    momenta = (max_momentum, base_momentum) if cycle_momentum and has_momentum else None
    phases = [(head_steps, 1.0, head_pct_start)] if head_steps else []
    phases.append((total_steps, fine_factor if head_steps else 1.0, pct_start))
    ends, peaks, starts = (list(column) for column in zip(*phases, strict=True))
    return Schedule(PhaseCycles(optimizer, ends, peaks, starts, div_factor, final_div_factor, momenta))
