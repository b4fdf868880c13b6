import math

import pytest
import torch

from runner.errors import UserError
from runner.optim.cycle import cyclic, one_cycle, restarts


def cos_between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def test_one_cycle_peaks_at_the_optimizer_learning_rate(optimizer, curve):
    made = optimizer(momentum=0.9)
    rates = curve(made, one_cycle(made, 20, 5, pct_start=0.25, div_factor=10, final_div_factor=100), 20)
    assert rates[:5] == pytest.approx([cos_between(0.1, 1.0, t / 4) for t in range(5)])
    assert rates[4:] == pytest.approx([cos_between(1.0, 0.001, t / 15) for t in range(16)])


def test_one_cycle_with_linear_annealing(optimizer, curve):
    made = optimizer()
    rates = curve(made, one_cycle(made, 11, 5, pct_start=6 / 11, anneal_strategy="linear", div_factor=10), 11)
    assert rates[:6] == pytest.approx([0.1 + 0.9 * t / 5 for t in range(6)])
    assert rates[-1] == pytest.approx(0.1 / 1e4)


@pytest.mark.parametrize(
    "kind, settings, key",
    [(torch.optim.SGD, {"momentum": 0.9}, "momentum"), (torch.optim.AdamW, {}, "betas")],
)
def test_momentum_is_cycled_inversely(kind, settings, key, optimizer, curve):
    made = optimizer(kind, **settings)
    momenta = curve(made, one_cycle(made, 20, 5, pct_start=0.25), 20, key)
    assert (momenta[0], momenta[4], momenta[-1]) == pytest.approx((0.95, 0.85, 0.95))
    assert min(momenta) == momenta[4]
    assert key != "betas" or made.param_groups[0]["betas"][1] == 0.999


@pytest.mark.parametrize(
    "kind, settings",
    [(torch.optim.SGD, {}), (torch.optim.RMSprop, {}), (torch.optim.Adagrad, {}), (torch.optim.Adadelta, {})],
)
def test_optimizer_without_momentum_stays_without(kind, settings, optimizer, curve):
    made = optimizer(kind, **settings)
    curve(made, one_cycle(made, 20, 5), 20)
    assert made.param_groups[0].get("momentum", 0) == 0
    other = optimizer(kind, **settings)
    curve(other, cyclic(other, 20, 5), 20)
    assert other.param_groups[0].get("momentum", 0) == 0


def test_momentum_cycling_can_be_disabled(optimizer, curve):
    made = optimizer(momentum=0.9)
    assert set(curve(made, one_cycle(made, 20, 5, cycle_momentum=False), 20, "momentum")) == {0.9}


def test_one_cycle_stays_low_after_its_end(optimizer, curve):
    made = optimizer()
    rates = curve(made, one_cycle(made, 10, 5), 15)
    assert rates[9:] == pytest.approx([1 / 25 / 1e4] * 6)


@pytest.mark.parametrize("pct_start, total_steps", [(0.25, 4), (0.1, 10), (0.5, 2), (0.0, 5)])
def test_warmup_of_at_most_one_step_starts_at_the_peak(pct_start, total_steps, optimizer, curve):
    made = optimizer()
    rates = curve(made, one_cycle(made, total_steps, 1, pct_start=pct_start), total_steps)
    assert max(rates) == rates[0] and all(math.isfinite(rate) for rate in rates)


def test_triangular_schedule(optimizer, curve):
    made = optimizer()
    rates = curve(made, cyclic(made, 24, 4, up_epochs=1, down_epochs=2, div_factor=10), 24)
    one = [
        0.1 + 0.9 * share
        for share in (0, 1 / 4, 2 / 4, 3 / 4, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8)
    ]
    assert rates == pytest.approx(one * 2)


def test_triangular_schedule_with_halving(optimizer, curve):
    made = optimizer()
    rates = curve(made, cyclic(made, 24, 4, up_epochs=1, mode="triangular2"), 24)
    assert [rates[4], rates[12], rates[20]] == pytest.approx([0.1 + 0.9 / 2**n for n in range(3)])


def test_triangular_schedule_decaying_by_gamma_per_epoch(optimizer, curve):
    made = optimizer()
    rates = curve(made, cyclic(made, 24, 4, up_epochs=1, mode="exp_range", gamma=0.5), 24)
    assert [rates[4], rates[12], rates[20]] == pytest.approx([0.1 + 0.9 * 0.5**epoch for epoch in (1, 3, 5)])


def test_warm_restarts(optimizer, curve):
    made = optimizer()
    rates = curve(made, restarts(made, 28, 4, first_epochs=1, multiply=2), 28)
    expected = [cos_between(1.0, 0.0, t / length) for length in (4, 8, 16) for t in range(length)]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    "factory, settings, said",
    [
        (one_cycle, {"pct_start": 1.2}, "pct_start=1.2"),
        (one_cycle, {"pct_start": 1.0}, "pct_start=1.0"),
        (one_cycle, {"div_factor": 0}, "div_factor=0"),
        (one_cycle, {"final_div_factor": -1}, "final_div_factor=-1"),
        (one_cycle, {"base_momentum": 0.99}, "base_momentum=0.99, scheduler.max_momentum=0.95"),
        (cyclic, {"up_epochs": 0}, "up_epochs=0"),
        (cyclic, {"down_epochs": -2}, "down_epochs=-2"),
        (cyclic, {"div_factor": 1}, "div_factor=1"),
        (cyclic, {"gamma": 1.5}, "gamma=1.5"),
        (restarts, {"first_epochs": 0}, "first_epochs=0"),
        (restarts, {"multiply": 0}, "multiply=0"),
    ],
)
def test_invalid_values_are_user_errors(factory, settings, said, optimizer):
    with pytest.raises(UserError, match=said):
        factory(optimizer(), total_steps=20, steps_per_epoch=5, **settings)
