"""A schedule drawn before the training is the one the training has."""

from __future__ import annotations

import functools

import pytest
import torch

from runner.cli.config.schedule import curve_of, sparkline
from runner.config.compose import compose
from runner.config.groups import find_groups
from runner.optim.cycle import one_cycle
from runner.optim.decay import plateau
from runner.optim.phased_one_cycle import phase_cycles
from runner.optim.schedule import preview_schedule

SGD = functools.partial(torch.optim.SGD, lr=1.0, momentum=0.9)
ADAM = functools.partial(torch.optim.AdamW, lr=1.0)


def test_one_cycle_learning_rates_and_momenta():
    rates, momenta = preview_schedule(SGD, functools.partial(one_cycle, pct_start=0.5), 21, 7)
    assert (
        len(rates) == 21 and max(rates) == pytest.approx(1.0, abs=0.01) and rates.index(max(rates)) in (9, 10)
    )
    assert min(momenta) == pytest.approx(0.85, abs=2e-3) and momenta[rates.index(max(rates))] == min(momenta)


def test_plateau_schedule_is_previewed_without_improvement():
    rates, momenta = preview_schedule(SGD, functools.partial(plateau, patience=0, factor=0.5), 9, 3)
    assert rates == [1.0] * 6 + [0.5] * 3 and momenta is None


def test_constant_learning_rate_without_a_schedule():
    assert preview_schedule(ADAM, None, 3, 1) == ([1.0] * 3, None)


def test_two_phases_give_two_cycles():
    make = functools.partial(phase_cycles, head_epochs=2, fine_factor=0.5, div_factor=5)
    rates, momenta = preview_schedule(ADAM, make, 60, 10)
    head, fine = rates[:20], rates[20:]
    assert (max(head), max(fine)) == (pytest.approx(1.0, abs=0.02), pytest.approx(0.5, abs=0.01))
    assert (head[0], fine[0]) == (pytest.approx(0.2), pytest.approx(0.1))
    assert head[-1] < 1e-4 and fine[-1] < 1e-4
    assert momenta[0] == momenta[20] == pytest.approx(0.95) and min(momenta) == pytest.approx(0.85, abs=2e-3)
    assert max(
        preview_schedule(ADAM, functools.partial(phase_cycles, head_epochs=0), 30, 10)[0]
    ) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("name", sorted(find_groups()["scheduler"]))
def test_every_schedule_can_be_previewed(name):
    rates, _ = curve_of(compose([f"scheduler={name}", "trainer.max_epochs=8"]), 80)
    assert len(rates) == 80 and 0 < max(rates) <= 0.001 + 1e-9
    assert len(sparkline(rates)) == 40
