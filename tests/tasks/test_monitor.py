"""``task.monitor`` selects the metric that picks the best checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from runner.cli import main
from tests.overrides import QUIET

ON_CPU = [*QUIET, "hardware=cpu"]


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["train", *ON_CPU, *words])
        return code, capsys.readouterr().err

    return run


def best_and_points() -> tuple[dict[str, Any], list[dict[str, float]]]:
    [run] = [path.parent for path in Path("runs").glob("*/results.json")]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    points = [line["metrics"] | {"step": line["step"]} for line in lines]
    return json.loads((run / "results.json").read_text())["best"], points


def test_best_checkpoint_has_the_best_value_of_the_chosen_metric(train) -> None:
    code, error = train(
        "data=digits", "model=mlp", "trainer.max_epochs=4", "task.monitor=val/calibration_error"
    )
    assert code == 0, error
    best, points = best_and_points()
    values = {
        point["step"]: point["val/calibration_error"] for point in points if "val/calibration_error" in point
    }
    assert best["monitor"] == "val/calibration_error"
    assert values[best["step"]] == min(values.values()) == pytest.approx(best["value"])


def test_training_metric_can_be_monitored(train) -> None:
    code, error = train(
        "data=digits", "model=mlp", "trainer.max_epochs=3", "task.monitor=train/epoch_loss",
        "regularization.early_stopping.patience=2",
    )  # fmt: skip
    assert code == 0, error
    best, points = best_and_points()
    losses = {point["step"]: point["train/epoch_loss"] for point in points if "train/epoch_loss" in point}
    assert len(losses) == 3 and losses[best["step"]] == min(losses.values()) == pytest.approx(best["value"])


def test_metric_that_the_first_validation_does_not_log_ends_the_run(train) -> None:
    """The area under the ROC curve is logged for two classes; digits have ten."""
    code, error = train("data=digits", "model=mlp", "trainer.max_epochs=2", "task.monitor=val/auroc")
    assert code == 2 and "Traceback" not in error
    assert "task.monitor=val/auroc" in error and "val/accuracy" in error


def test_several_targets_are_monitored_by_the_standardised_loss(train) -> None:
    """The mean RMSE is that of the target in large units, however the other changes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    table = pd.DataFrame(
        {"a": x[:, 0], "b": x[:, 1], "small": x[:, 0] + x[:, 1], "large": 1e5 * rng.normal(size=300)}
    )
    table.to_csv("d.csv", index=False)
    data = [
        "data=csv",
        "data.path=d.csv",
        "data.target=[small,large]",
        "task=regression",
        "trainer.max_epochs=3",
    ]
    code, error = train(*data)
    assert code == 0, error
    best, points = best_and_points()
    losses = {point["step"]: point["val/loss"] for point in points if "val/loss" in point}
    assert best["monitor"] == "val/loss" and losses[best["step"]] == min(losses.values())
