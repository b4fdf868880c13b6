"""The suggestions of a range test, on curves whose shape is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from runner.optim.range_test import exponential_range, smoothed, suggestions

RATES = np.geomspace(1e-7, 10, 101)


def curve(fall: float = 1e-3, turn: float = 1e-1, noise: float = 0.0) -> np.ndarray:
    """Flat at 2, down to about 1 from ``fall`` on, up again from ``turn`` on."""
    x = np.log10(RATES)
    down = 1 / (1 + np.exp(-4 * (x - math.log10(fall) - 0.7)))
    up = np.exp(3 * (x - math.log10(turn) - 0.5))
    return 2 - down + up + noise * np.random.default_rng(0).standard_normal(len(x))


@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_suggestions_lie_where_they_are_said_to(noise):
    losses = curve(noise=noise)
    found = suggestions(RATES, losses)
    assert set(found) == {"valley", "steepest", "minimum/10", "slide"}
    lowest = RATES[losses.argmin()]
    assert found["minimum/10"] == pytest.approx(lowest / 10)
    assert 1e-3 < found["steepest"] < 2e-2  # the fall is centred on 5e-3
    assert 1e-3 < found["valley"] < lowest
    assert found["slide"] < found["steepest"]


@pytest.mark.parametrize("first", [2.6, 2.25, 1.75])
def test_a_first_batch_unlike_the_others_moves_no_suggestion_onto_the_plateau(first):
    """Of the smoothed losses the first is that of one batch, and each after it is of one batch more."""
    losses = curve(noise=0.05)
    losses[0] = first
    found = suggestions(RATES, smoothed(losses, 0.9))
    assert 1e-3 < found["steepest"] < 5e-2
    assert 1e-3 < found["valley"] < 1e-1


def test_scale_and_offset_of_the_loss_do_not_matter():
    assert suggestions(RATES, 1000 * curve()) == suggestions(RATES, curve())


def test_a_higher_fall_gives_higher_rates():
    low, high = suggestions(RATES, curve(1e-4, 1e-2)), suggestions(RATES, curve(1e-2, 1))
    assert all(high[way] > 10 * low[way] for way in low)


def test_nothing_is_suggested_where_the_loss_never_fell():
    assert suggestions(RATES, np.full(101, 2.0)) == {}
    assert suggestions(RATES, np.linspace(2, 3, 101)) == {}
    assert suggestions(RATES[:3], [3, 2, 1]) == {}


def test_smoothing_starts_at_the_first_loss_and_keeps_a_constant():
    assert smoothed([3.0, 3.0, 3.0], 0.9) == pytest.approx([3.0] * 3)
    assert smoothed([1.0, 2.0], 0.5) == pytest.approx([1.0, (0.25 * 1 + 0.5 * 2) / 0.75])
    assert smoothed([1.0, 2.0], 0.0) == [1.0, 2.0]


def test_rates_grow_by_one_factor_from_the_lowest_to_the_highest():
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [parameters[0]]}, {"params": [parameters[1]], "lr": 1e-6}]
    optimizer = torch.optim.SGD(groups, lr=1e-5)
    schedule = exponential_range(optimizer, 5, 1, ratio=1e4, num_steps=5)
    seen = []
    for _ in range(5):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.scheduler.step()
    assert np.array(seen) == pytest.approx(np.outer(np.geomspace(1e-5, 1e-1, 5), [1, 0.1]))
