"""Features and targets far from 0 keep the differences between rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as sk
from torch import nn

from runner.data.standardize import Standardize, needs_float64
from runner.data.tables.table import TableDataModule
from runner.tasks.regression import RegressionTask

OFFSET = 1_700_000_000  # seconds since 1970; float32 has steps of 128 there
RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(300, 2)).round(3)
SHIFT = np.round(10 * X[:, 0] + 5 * X[:, 1], 3)


def made(tmp_path: Path, target: str, task: str, **columns) -> TableDataModule:
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    data = TableDataModule(path=str(tmp_path / "t.csv"), target=target, task=task)
    assert data.check() == []
    data.setup()
    return data


def task_of(data: TableDataModule, model: nn.Module) -> RegressionTask:
    facts = data.facts
    return RegressionTask(
        model, target_mean=facts.get("target_mean"), target_std=facts.get("target_std"), target_names=["t"]
    )


def scores(
    data: TableDataModule, task: RegressionTask, split: str = "test"
) -> tuple[dict[str, float], np.ndarray]:
    preds = []
    for batch in data.eval_loader(split):
        step = task.compute_loss(data.on_after_batch_transfer(batch, 0))
        task.update_metrics(step.outputs, "test")
        preds += [row["t"] for row in task.rows(step.outputs)]
    return task.compute_metrics("test"), np.array(preds)


def test_target_of_unix_seconds(tmp_path: Path):
    data = made(tmp_path, "t", "regression", x1=X[:, 0], x2=X[:, 1], t=OFFSET + SHIFT)
    train, test = (data.splits[name].indices.numpy() for name in ("train", "test"))
    assert data.facts.get("target_mean") == pytest.approx([OFFSET + SHIFT[train].mean()], abs=1e-6)
    assert data.facts.get("target_std") == pytest.approx([SHIFT[train].std()], rel=1e-6)

    constant = nn.Linear(2, 1)
    nn.init.zeros_(constant.weight)
    nn.init.zeros_(constant.bias)
    found, preds = scores(data, task_of(data, constant))
    centred = SHIFT[test] - SHIFT[train].mean()
    assert found["rmse"] == pytest.approx(np.sqrt((centred**2).mean()), rel=1e-5)
    assert found["mae"] == pytest.approx(np.abs(centred).mean(), rel=1e-5)
    assert (
        found["r2"] == pytest.approx(sk.r2_score(centred, np.zeros_like(centred)), abs=1e-6)
        and found["r2"] <= 0
    )
    assert preds == pytest.approx(np.full(60, OFFSET + SHIFT[train].mean()), abs=1e-5)

    # The exact linear model in standardised units, by least squares in float64.
    scale = X[train].mean(0), X[train].std(0)
    weight = np.array([10, 5]) * scale[1] / SHIFT[train].std()
    linear = nn.Linear(2, 1)
    linear.weight.data = torch.from_numpy(weight).float()[None]
    nn.init.zeros_(linear.bias)
    found, preds = scores(data, task_of(data, linear))
    assert found["r2"] > 1 - 1e-8 and found["rmse"] < 2e-3
    assert np.abs(preds - (OFFSET + SHIFT[test])).max() < 5e-3


def test_statistics_survive_a_checkpoint(tmp_path: Path):
    task = RegressionTask(nn.Identity(), target_mean=[OFFSET + 0.25], target_std=[10.8])
    same = RegressionTask(nn.Identity(), target_mean=[OFFSET + 0.25], target_std=[10.8])
    same.load_state_dict(task.state_dict())
    assert same.to_unit(torch.zeros(1, 1)).item() == OFFSET + 0.25
    other = RegressionTask(nn.Identity())
    other.load_state_dict(RegressionTask(nn.Identity(), target_mean=[3.0], target_std=[2.0]).state_dict())
    assert other.to_unit(torch.ones(1, 1)).item() == 5


@pytest.mark.parametrize("kind", ["number", "days"])
def test_feature_with_a_large_offset(tmp_path: Path, kind: str):
    offset = OFFSET if kind == "number" else 0
    labels = np.where(X[:, 0] > 0, "p", "q")
    data = made(tmp_path, "y", "classification", a=offset + X[:, 0], b=X[:, 1], y=labels)
    train = data.splits["train"].indices.numpy()
    batch = next(iter(data.eval_loader("train")))
    scaled = data.on_after_batch_transfer(batch, 0)["inputs"]
    wanted = (X[train] - X[train].mean(0)) / X[train].std(0)
    assert scaled.dtype == torch.float32
    assert np.abs(scaled.numpy() - wanted[: len(scaled)]).max() < 2e-6
    assert data.input_dtype == ("float64" if offset else "float32")
    torch.save(data.state_dict(), tmp_path / "state.pt")
    other = TableDataModule(path="gone.csv", target="y")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    inputs = other.batch_inputs([row for _, row in other.read_inputs([str(tmp_path / "t.csv")])])
    wanted = (X - X[train].mean(0)) / X[train].std(0)
    assert np.abs(other.normalize(inputs).numpy() - wanted).max() < 2e-6


def test_run_of_a_file_continues_with_the_same_file(tmp_path: Path):
    options = {"a": OFFSET + X[:, 0], "b": X[:, 1], "y": np.where(X[:, 0] > 0, "p", "q")}
    state = made(tmp_path, "y", "classification", **options).state_dict()
    made(tmp_path, "y", "classification", **options).load_state_dict(state)


def test_ordinary_numbers_stay_float32():
    assert not needs_float64(torch.tensor([[1.0, 1e6], [2.0, -1e6], [3.0, 5e5]]))
    assert not needs_float64(torch.full((5, 1), 1.7e9))  # nothing to lose
    assert needs_float64(torch.tensor([[1.7e9], [1.7e9 + 10]], dtype=torch.float64))
    scale = Standardize([1.0], [2.0])
    assert (
        scale(torch.tensor([[3.0]])).item() == 1
        and scale(torch.tensor([[3.0]]).double()).dtype == torch.float32
    )


@pytest.mark.parametrize(("column", "other"), [("x", "y"), ("y", "x")])
def test_whole_numbers_that_float64_cannot_distinguish_are_rejected(tmp_path: Path, column: str, other: str):
    nanoseconds = [
        1_700_000_000_000_000_000 + 37 * row for row in range(60)
    ]  # float64 has steps of 256 there
    pd.DataFrame({column: nanoseconds, other: RANDOM.normal(size=60)}).to_csv(tmp_path / "t.csv", index=False)
    (problem,) = TableDataModule(path=str(tmp_path / "t.csv"), target="y", task="regression").check()
    assert f"column '{column}' holds whole numbers above 2**53 that float64 cannot distinguish" in problem
    assert "1700000000000000000 and 1700000000000000037" in problem


def test_nanoseconds_whose_differences_float64_keeps_are_numbers(tmp_path: Path):
    hours = [1_700_000_000_000_000_000 + 3_600_000_000_000 * row for row in range(60)]
    made(tmp_path, "y", "regression", x=hours, y=RANDOM.normal(size=60))
