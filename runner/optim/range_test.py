"""Results of a learning-rate range test: the smoothed loss over the learning rate, and suggested rates."""

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
SLIDE_CHANGE = 0.005
"""fast.ai's window and threshold: change of the loss from one point to the next."""
LEAST_POINTS = 5
START = 0.25
"""Of the way to the lowest loss: the median there is where the loss comes from. The first ones are hardly
smoothed.
"""
FALLEN = 0.05
"""The fall begins where the loss has done this part of it: before, there is only noise."""
LEAST_FALL = 0.05
"""A loss that falls by less than this part of its first value may only have wavered."""


@dataclass
class RangeTest:
    """The points of a range test and the learning rates suggested by them.

    Attributes:
        rates: learning rates, rising.
        losses: the training loss at each.
        smoothed: the same, smoothed.
        suggestions: method → learning rate; methods without a result are missing.
        ended: the reason why the test ended.
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
    """The factor at a step: ``ratio^(step / (steps - 1))``.

    An object, so that a checkpoint holds plain numbers.
    """

    ratio: float
    num_steps: int

    def __call__(self, step: int) -> float:
        return self.ratio ** (min(step, self.num_steps - 1) / max(1, self.num_steps - 1))


def exponential_range(
    optimizer: Optimizer, total_steps: int, steps_per_epoch: int, ratio: float, num_steps: int
) -> Schedule:
    """From the optimizer's learning rate to ``ratio`` times it.

    By the same factor at every step (Smith 2015).
    """
    return Schedule(LambdaLR(optimizer, Growth(ratio, num_steps)))


def smoothed(losses: Sequence[float], memory: float) -> list[float]:
    """Exponential moving average with weights ``memory^age``, corrected for the initial bias."""
    mean, found = 0.0, []
    for count, loss in enumerate(losses, start=1):
        mean = memory * mean + (1 - memory) * loss
        found.append(mean / (1 - memory**count))
    return found


def suggestions(rates: Sequence[float], losses: Sequence[float]) -> dict[str, float]:
    """Rates to train with, from the smoothed losses of a range test; empty where the loss never fell.

    ``valley`` and ``slide`` are those of fast.ai, see `valley` and `slide`. ``steepest``: where the loss
    falls fastest over the logarithm of the rate. ``minimum/10``: a tenth of the rate with the lowest loss. A
    ``slide`` that ends where the loss has not begun to fall is left out.
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
        "valley": valley(y),
        "steepest": begin + steepest(y[begin:], x[begin:], lowest - begin),
        "minimum/10": lowest,
        "slide": slide(y),
    }
    if found["slide"] is None or found["slide"] < begin:
        del found["slide"]
    chosen = {way: float(np.exp(x[place])) for way, place in found.items()}
    return chosen | {"minimum/10": chosen["minimum/10"] / 10}


def valley(losses: np.ndarray) -> int:
    """fast.ai's valley.

    About halfway through the longest decreasing subsequence, as if its points lay side by side.

    The subsequence, of length n, ends at position e; the answer is ``e − n + int(n / 3) + int(n / 6)``.
    """
    lengths = np.ones(len(losses), dtype=int)
    for i in range(1, len(losses)):
        lengths[i] += lengths[:i][losses[:i] > losses[i]].max(initial=0)
    end, length = int(lengths.argmax()), int(lengths.max())
    return max(0, end - length + int(length / 3) + int(length / 6))


def steepest(losses: np.ndarray, logs: np.ndarray, lowest: int) -> int:
    return int(np.gradient(losses, logs)[: max(2, lowest)].argmin())


def slide(losses: np.ndarray) -> int | None:
    """fast.ai's interval slide rule.

    The left end of a window that moves from the end of the test to its start, for as long as the slopes at
    its two ends differ by more than a threshold.

    The threshold is absolute, so it suits losses of about 1. None where the window reaches the start, or does
    not fit.
    """
    slope = np.gradient(losses)
    right = len(losses) - 1
    place = left = right - SLIDE_POINTS
    while left >= 0 and abs(slope[right] - slope[left]) > SLIDE_CHANGE:
        place, left, right = left, left - 1, right - 1
    return place if left >= 0 else None
