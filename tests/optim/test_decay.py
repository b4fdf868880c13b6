import math

import pytest

from runner.errors import UserError
from runner.optim.decay import cosine, exponential, multistep, polynomial, step


def test_step(optimizer, curve):
    made = optimizer()
    rates = curve(made, step(made, total_steps=30, steps_per_epoch=5, every_epochs=2, gamma=0.5), 30)
    assert rates == pytest.approx([0.5 ** (t // 10) for t in range(30)])


def test_multistep_milestones_are_fractions_of_training(optimizer, curve):
    made = optimizer()
    rates = curve(made, multistep(made, 20, 5, milestones=[0.75, 0.5], gamma=0.1), 20)
    assert rates == pytest.approx([1.0] * 10 + [0.1] * 5 + [0.01] * 5)


def test_exponential_decays_by_gamma_per_epoch(optimizer, curve):
    made = optimizer()
    rates = curve(made, exponential(made, 30, 10, gamma=0.8), 30)
    assert rates == pytest.approx([0.8 ** (t / 10) for t in range(30)])


def test_polynomial(optimizer, curve):
    made = optimizer()
    rates = curve(made, polynomial(made, 20, 5, power=2), 25)
    assert rates == pytest.approx([(1 - min(t, 20) / 20) ** 2 for t in range(25)], abs=1e-12)


def test_cosine_without_warm_up(optimizer, curve):
    made = optimizer()
    rates = curve(made, cosine(made, 20, 5, pct_start=0, floor=0.1), 25)
    assert rates == pytest.approx(
        [0.1 + 0.9 * (1 + math.cos(math.pi * min(t, 20) / 20)) / 2 for t in range(25)]
    )


@pytest.mark.parametrize("warm_up", [{"pct_start": 0.25}, {"warmup_epochs": 1}])
def test_cosine_with_warm_up(warm_up, optimizer, curve):
    made = optimizer()
    rates = curve(made, cosine(made, 20, 5, **warm_up), 20)
    assert rates[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])
    assert rates[5:] == pytest.approx([(1 + math.cos(math.pi * t / 15)) / 2 for t in range(15)])


@pytest.mark.parametrize(
    "factory, settings, said",
    [
        (cosine, {"pct_start": 1.5}, "pct_start=1.5"),
        (cosine, {"floor": 2.0}, "floor=2.0"),
        (cosine, {"warmup_epochs": 4}, "warmup_epochs=4 is 20 steps, and the whole training has 20"),
        (cosine, {"warmup_epochs": -1}, "warmup_epochs=-1"),
        (step, {"every_epochs": 0}, "every_epochs=0"),
        (step, {"gamma": 0}, "gamma=0"),
        (multistep, {"milestones": [30, 60]}, r"milestones=\[30, 60\]: shares"),
        (multistep, {"milestones": []}, r"milestones=\[\]"),
        (exponential, {"gamma": 1.2}, "gamma=1.2"),
        (polynomial, {"power": 0}, "power=0"),
    ],
)
def test_invalid_values_are_user_errors(factory, settings, said, optimizer):
    with pytest.raises(UserError, match=said):
        factory(optimizer(), total_steps=20, steps_per_epoch=5, **settings)
