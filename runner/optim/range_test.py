"""What a learning-rate range test tells: the smoothed loss over the rates, and rates to train with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from runner.optim.schedule import Schedule

__all__ = ["RangeTest", "exponential_range", "smoothed", "suggestions"]

SLIDE_POINTS = 15
SLIDE_CHANGE = 0.1
"""Of the steepest slope: smaller differences count as noise."""
LEAST_POINTS = 5
START = 0.25
"""Of the way to the lowest loss: the median there is where the loss comes from. The first ones are hardly smoothed."""
FALLEN = 0.05
"""The fall begins where the loss has done this part of it: before, there is only noise."""
LEAST_FALL = 0.05
"""A loss that falls by less than this part of its first value may only have wavered."""


@dataclass
class RangeTest:
    """The points of a range test, and what follows from them.

    Attributes:
        rates: learning rates, rising.
        losses: the training loss at each.
        smoothed: the same, smoothed.
        suggestions: way of choosing → learning rate; without an entry where that way finds none.
        ended: why the test ended.
    """

    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    suggestions: dict[str, float] = field(default_factory=dict)
    ended: str = ""

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass
class Growth:
    """The factor at a step: ``ratio^(step / (steps - 1))``. An object, so that a checkpoint holds plain numbers."""

    ratio: float
    num_steps: int

    def __call__(self, step: int) -> float:
        return self.ratio ** (min(step, self.num_steps - 1) / max(1, self.num_steps - 1))


def exponential_range(
    optimizer: Optimizer, total_steps: int, steps_per_epoch: int, ratio: float, num_steps: int
) -> Schedule:
    """From the optimizer's learning rate to ``ratio`` times it, by the same factor at every step (Smith 2015)."""
    return Schedule(LambdaLR(optimizer, Growth(ratio, num_steps)))


def smoothed(losses: Sequence[float], memory: float) -> list[float]:
    """Running mean with weights ``memory^age``, without the pull to zero at its start."""
    mean, found = 0.0, []
    for count, loss in enumerate(losses, start=1):
        mean = memory * mean + (1 - memory) * loss
        found.append(mean / (1 - memory**count))
    return found


def suggestions(rates: Sequence[float], losses: Sequence[float]) -> dict[str, float]:
    """Rates to train with, from the smoothed losses of a range test; empty where the loss never fell.

    ``valley``: in the middle of the longest fall. ``steepest``: where the loss falls fastest. ``minimum/10``: a
    tenth of the rate with the lowest loss. ``slide``: a window that comes from the high rates, where the slopes at
    its two ends no longer differ; its left end. The four are named as fast.ai names them.
    """
    x, y = np.log(np.asarray(rates, float)), np.asarray(losses, float)
    keep = np.isfinite(y)
    x, y = x[keep], y[keep]
    if len(y) < LEAST_POINTS or y[0] - y.min() < LEAST_FALL * abs(y[0]):
        return {}
    lowest = int(y.argmin())
    start = max(float(np.median(y[: max(LEAST_POINTS, int(START * lowest))])), y[lowest])
    begin = int(np.flatnonzero(y[: lowest + 1] >= start - FALLEN * (start - y[lowest]))[-1])
    found = {
        "valley": begin + valley(y[begin : lowest + 1]),
        "steepest": begin + steepest(y[begin:], x[begin:], lowest - begin),
        "minimum/10": lowest,
        "slide": slide(y, lowest),
    }
    chosen = {way: float(np.exp(x[place])) for way, place in found.items() if place is not None}
    return chosen | {"minimum/10": chosen["minimum/10"] / 10}


def valley(losses: np.ndarray) -> int:
    """Position in the middle of the longest falling subsequence."""
    length = np.ones(len(losses), dtype=int)
    before = np.full(len(losses), -1)
    for i in range(1, len(losses)):
        higher = np.flatnonzero(losses[:i] > losses[i])
        if len(higher):
            best = higher[length[higher].argmax()]
            length[i], before[i] = length[best] + 1, best
    last = first = int(length.argmax())
    while before[first] >= 0:
        first = int(before[first])
    return (first + last) // 2


def steepest(losses: np.ndarray, logs: np.ndarray, lowest: int) -> int:
    return int(np.gradient(losses, logs)[: max(2, lowest)].argmin())


def slide(losses: np.ndarray, lowest: int) -> int | None:
    """Left end of the window, which starts at the end of the test; None where it never moved."""
    slope = np.gradient(losses)
    much = SLIDE_CHANGE * abs(slope[: max(2, lowest)].min())
    place, right = None, len(losses) - 1
    while right - SLIDE_POINTS >= 0 and abs(slope[right] - slope[right - SLIDE_POINTS]) > much:
        place, right = right - SLIDE_POINTS, right - 1
    return place
