"""The learning rate of a batch that is not the one it was chosen for."""

from __future__ import annotations

import pytest
from distributed.ranks import points, trained

from runner.run.directory import RunDir
from runner.run.journal import add_rollback
from runner.training.learning_rate import LearningRate, lr_factor


@pytest.mark.parametrize(("rule", "factor"), [("none", 1.0), ("linear", 4.0), ("sqrt", 2.0)])
def test_lr_scaling_rule(rule: str, factor: float) -> None:
    assert lr_factor({"lr_scaling": rule, "reference_batch_size": 64}, 256) == factor
    assert lr_factor({"lr_scaling": rule, "reference_batch_size": 64}, 64) == 1.0


def test_given_learning_rate_stays_in_the_config() -> None:
    config = {
        "hardware": {"lr_scaling": "linear", "reference_batch_size": 32},
        "data": {"batch_size": 64},
        "optimizer": {"lr": 0.1},
    }
    applied = LearningRate.of(config, 64).applied_to(config)
    assert applied["optimizer"]["lr"] == 0.2 and config["optimizer"]["lr"] == 0.1


def test_suggested_rate_is_recorded_before_scaling(tmp_path) -> None:
    config = {
        "hardware": {"lr_scaling": "linear", "reference_batch_size": 32},
        "optimizer": {"lr": "auto", "weight_decay": 0.1},
    }
    run = RunDir(tmp_path)
    for factor in (0.5, 0.25):
        add_rollback(run, "the loss was nan", None, factor)
    decided = LearningRate.of(config, 64, run, suggested=0.1)
    assert decided == LearningRate(0.1, 2.0, 0.125)
    assert decided.recorded_in(config)["optimizer"] == {"lr": 0.1, "weight_decay": 0.1}
    assert decided.applied_to(config)["optimizer"] == {"lr": 0.2, "weight_decay": 0.1}


def test_optimizer_without_a_learning_rate_is_unchanged() -> None:
    config = {"hardware": {}, "optimizer": {"weight_decay": 0.1}}
    assert LearningRate.of(config, 64).applied_to(config) is config


def test_run_trains_at_the_scaled_rate(tmp_path) -> None:
    words = (
        "data=digits",
        "model=mlp",
        "trainer.max_epochs=1",
        "scheduler=none",
        "optimizer.lr=0.001",
        "data.batch_size=64",
    )
    run = trained(tmp_path / "run", 1, *words, "hardware.lr_scaling=sqrt", "hardware.reference_batch_size=16")
    assert points(run)["train/lr"][0][2] == pytest.approx(0.002)
