from types import SimpleNamespace

import pytest

from runner.callbacks.progress import TimeLeft, batches_left, fraction_done, validations_left


def trainer(**changes):
    state = {
        "num_training_batches": 100,
        "max_epochs": 10,
        "max_steps": -1,
        "current_epoch": 2,
        "global_step": 200,
        "accumulate_grad_batches": 1,
        "enable_validation": True,
        "check_val_every_n_epoch": 1,
        "val_check_batch": 100,
    }
    return SimpleNamespace(**state | changes)


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, 750),
        ({"max_epochs": -1, "max_steps": 260, "accumulate_grad_batches": 2}, 120),
        ({"max_steps": 210}, 10),
        ({"max_epochs": -1}, None),
        ({"num_training_batches": float("inf")}, None),
        ({"current_epoch": 12}, 0),
    ],
)
def test_batches_left(changes, left):
    assert batches_left(trainer(**changes), 50) == left


@pytest.mark.parametrize(
    ("changes", "runs"),
    [
        ({}, 8),
        ({"val_check_batch": 25}, 30),
        ({"check_val_every_n_epoch": 4}, 2),
        ({"enable_validation": False}, 0),
    ],
)
def test_validations_left(changes, runs):
    assert validations_left(trainer(**changes), 750) == runs


def test_estimate_adds_training_and_validation():
    left = TimeLeft()
    assert left.estimate_s(trainer(), 0) is None
    left.add_training(20.0, 200)
    left.add_validation(3.0)
    assert left.estimate_s(trainer(), 50) == pytest.approx(750 * 0.1 + 8 * 3)
    assert left.estimate_s(trainer(), 50, train_s=10.0, train_batches=50) == pytest.approx(750 * 0.12 + 8 * 3)


def test_fraction_done():
    assert fraction_done(trainer(), 50) == 0.25
    assert fraction_done(trainer(max_epochs=-1), 50) is None
