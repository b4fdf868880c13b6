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

UNSTABLE_RISE = 0.25
"""Training is unstable where the loss rises by this fraction of its decrease so far."""
LEAST_PROGRESS = 0.5
"""Fraction of the whole decrease before which a rise is only noise."""
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

    Points after the first instability are ignored, see `num_stable`.

    ``valley`` and ``slide`` are those of fast.ai, see `valley` and `slide`. ``steepest``: where the loss
    falls fastest over the logarithm of the rate. ``minimum/10``: a tenth of the rate with the lowest loss. A
    ``slide`` that ends where the loss has not begun to fall is left out.
    """
    x, y = np.log(np.asarray(rates, float)), np.asarray(losses, float)
    keep = np.isfinite(y)
    x, y = x[keep], y[keep]
    if len(y) < LEAST_POINTS or y[0] - y.min() < LEAST_FALL * abs(y[0]):
        return {}
    stable = num_stable(y)
    x, y = x[:stable], y[:stable]
    lowest = int(y.argmin())
    start = plateau(y, lowest)
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


def num_stable(losses: np.ndarray) -> int:
    """Return the number of points before the loss recovers from an instability.

    A model that separates its training samples, such as a linear head on frozen features, fits them at any
    rate: the loss rises where updates become too large, then falls to zero at rates far above. That second
    decrease, which the moving average also spreads over many points, says nothing about a usable rate. The
    point where the loss has risen is still counted. A curve that does not fall below its lowest loss before
    the rise is left complete.

    Args:
        losses: smoothed losses in the order of rising rates, ``(n,)``.
    """
    before = num_before_decrease(int(losses.argmin()))
    start = plateau(losses, int(losses.argmin()))
    # The first losses are those of single batches: a low one is not a decrease.
    lowest = np.minimum.accumulate(np.where(np.arange(len(losses)) < before, start, losses))
    fall = start - lowest
    risen = losses - lowest > UNSTABLE_RISE * fall
    unstable = np.flatnonzero(risen & (fall > LEAST_PROGRESS * fall[-1]))
    if not len(unstable) or losses.min() >= lowest[unstable[0]]:
        return len(losses)
    return int(unstable[0]) + 1


def plateau(losses: np.ndarray, lowest: int) -> float:
    """Return the loss before its decrease: the median of the first points on the way to the lowest.

    Args:
        losses: smoothed losses, ``(n,)``.
        lowest: position of the lowest loss.
    """
    first = losses[: num_before_decrease(lowest)]
    return max(float(np.median(first)), float(losses[lowest]))


def num_before_decrease(lowest: int) -> int:
    """Return the number of points that are taken for those before the decrease to the lowest loss."""
    return min(max(LEAST_POINTS, int(START * lowest)), lowest + 1)


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
