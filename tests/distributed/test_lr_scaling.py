"""The learning rate of a batch that is not the one it was chosen for."""

from __future__ import annotations

import pytest
from distributed.ranks import points, trained

from runner.distributed.lr_scaling import lr_factor, scaled


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
    assert scaled(config, 64)["optimizer"]["lr"] == 0.2 and config["optimizer"]["lr"] == 0.1


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
