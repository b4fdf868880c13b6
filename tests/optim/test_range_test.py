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
def test_suggestions_match_their_definition(noise):
    losses = np.array(smoothed(curve(noise=noise), 0.9))
    found = suggestions(RATES, losses)
    assert set(found) == {"valley", "steepest", "minimum/10", "slide"}
    lowest = RATES[losses.argmin()]
    assert found["minimum/10"] == pytest.approx(lowest / 10)
    assert 1e-3 < found["steepest"] < 2e-2  # the fall is centred on 5e-3
    assert 1e-3 < found["slide"] < found["steepest"]


def valley_by_definition(rates, losses) -> float:
    """The longest decreasing subsequence that ends at each point, point by point; fast.ai counts its sections
    back from the first point at which the longest one ends."""
    lengths: list[int] = []
    for i, loss in enumerate(losses):
        lengths.append(1 + max((lengths[j] for j in range(i) if losses[j] > loss), default=0))
    end = lengths.index(max(lengths))
    section = lengths[end] / 3
    return rates[end - lengths[end] + int(section) + int(section / 2)]


def slide_by_definition(rates, losses) -> float:
    """fast.ai's, with its defaults ``lr_diff=15`` and ``thresh=0.005``."""
    slopes = [losses[1] - losses[0], *((losses[2:] - losses[:-2]) / 2), losses[-1] - losses[-2]]
    right = len(losses) - 1
    rate = rates[right - 15]
    while right >= 15 and abs(slopes[right] - slopes[right - 15]) > 0.005:
        rate = rates[right - 15]
        right -= 1
    return rate


@pytest.mark.parametrize("memory", [0.0, 0.9, 0.98])
@pytest.mark.parametrize("noise", [0.0, 0.003, 0.05])
@pytest.mark.parametrize(("fall", "turn"), [(1e-3, 1e-1), (1e-4, 1e-2), (1e-2, 1.0)])
def test_valley_and_slide_match_fastai(fall, turn, noise, memory):
    losses = np.array(smoothed(curve(fall, turn, noise), memory))
    found = suggestions(RATES, losses)
    assert found["valley"] == pytest.approx(valley_by_definition(RATES, losses), rel=1e-9)
    expected = slide_by_definition(RATES, losses)
    assert found.get("slide", expected) == pytest.approx(expected, rel=1e-9)
    assert "slide" in found or expected < 0.3 * fall  # left out on the plateau only


def test_suggestions_match_fastai_on_one_curve():
    """A smoothed noisy curve; computed once by fast.ai's own two functions, rewritten in plain loops."""
    found = suggestions(RATES, smoothed(curve(noise=0.05), 0.9))
    assert found["valley"] == pytest.approx(4.37e-3, rel=2e-3)
    assert found["slide"] == pytest.approx(3.63e-3, rel=2e-3)


@pytest.mark.parametrize("noise", [0.003, 0.05])
def test_slide_never_suggests_the_plateau(noise):
    """Of these curves fast.ai's window comes to rest at 3.6e-5 and 1.6e-4, where the loss is still flat."""
    assert "slide" not in suggestions(RATES, curve(noise=noise))
    assert "slide" not in suggestions(RATES, 1e4 * curve())


@pytest.mark.parametrize("first", [2.6, 2.25, 1.75])
def test_outlier_first_batch_does_not_move_suggestions_to_the_plateau(first):
    """Of the smoothed losses the first is that of one batch, and each after it is of one batch more."""
    losses = curve(noise=0.05)
    losses[0] = first
    found = suggestions(RATES, smoothed(losses, 0.9))
    assert 1e-3 < found["steepest"] < 5e-2
    assert 1e-3 < found["valley"] < 1e-1
    assert found["slide"] > 1e-3


def test_loss_scale_only_affects_the_slide_threshold():
    one, thousand = suggestions(RATES, curve()), suggestions(RATES, 1000 * curve())
    assert {way: rate for way, rate in one.items() if way != "slide"} == {
        way: rate for way, rate in thousand.items() if way != "slide"
    }


def test_later_loss_decrease_gives_higher_learning_rates():
    curves = [smoothed(curve(fall, turn, 0.01), 0.9) for fall, turn in ((1e-4, 1e-2), (1e-2, 1))]
    low, high = (suggestions(RATES, losses) for losses in curves)
    assert all(high[way] > 10 * low[way] for way in low)


def separable(peak: float) -> np.ndarray:
    """A linear head on frozen features: down to 0.3, up to ``peak`` at 5e-2, then down to 0 at any rate."""
    x = np.log10(RATES)
    down = 1 - 0.7 / (1 + np.exp(-4 * (x - math.log10(5e-3))))
    spike = (peak - 0.3) * np.exp(-((x - math.log10(5e-2)) ** 2) / 0.02)
    return (down + spike) * np.where(x > math.log10(5e-2), np.exp(-3 * (x - math.log10(5e-2))), 1)


@pytest.mark.parametrize("peak", [0.6, 1.0, 1.4])
@pytest.mark.parametrize("memory", [0.0, 0.5])
def test_decrease_after_an_instability_is_ignored(peak, memory):
    """The lowest loss is at the highest rate, and the steepest fall is that after the instability."""
    losses = np.array(smoothed(separable(peak), memory))
    assert losses.argmin() == len(losses) - 1
    assert RATES[np.gradient(losses, np.log(RATES)).argmin()] > 5e-2
    found = suggestions(RATES, losses)
    assert 1e-3 < found["steepest"] < 2e-2
    assert found["minimum/10"] < 5e-3
    assert found["valley"] < 5e-2


@pytest.mark.parametrize("first", [0.3, 0.45])
def test_low_first_batch_is_not_a_decrease(first):
    """The rise to the plateau would count as an instability otherwise."""
    losses = 1 - 0.99 / (1 + np.exp(-4 * (np.log10(RATES) - math.log10(5e-3))))
    losses[0] = first
    assert 1e-3 < suggestions(RATES, smoothed(losses, 0.9))["steepest"] < 5e-2


def test_divergence_after_the_first_steps_gives_rates_of_these_steps():
    """The median of the first five losses is above both losses up to the lowest."""
    found = suggestions(RATES[:7], [1, 0.5, 2, 3, 4, 5, 6])
    assert found["steepest"] <= RATES[1] and found["minimum/10"] == pytest.approx(RATES[1] / 10)


def test_no_suggestion_when_the_loss_never_decreases():
    assert suggestions(RATES, np.full(101, 2.0)) == {}
    assert suggestions(RATES, np.linspace(2, 3, 101)) == {}
    assert suggestions(RATES[:3], [3, 2, 1]) == {}


def test_smoothing_starts_at_the_first_loss_and_keeps_a_constant():
    assert smoothed([3.0, 3.0, 3.0], 0.9) == pytest.approx([3.0] * 3)
    assert smoothed([1.0, 2.0], 0.5) == pytest.approx([1.0, (0.25 * 1 + 0.5 * 2) / 0.75])
    assert smoothed([1.0, 2.0], 0.0) == [1.0, 2.0]


def test_learning_rates_grow_geometrically():
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
