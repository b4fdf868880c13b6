"""Forecasts: metrics against NumPy, gaps, levels, learning, resuming."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from runner.data.series.waves import WavesDataModule
from runner.models.dlinear import DLinear
from runner.tasks.forecasting import ForecastingTask


class Repeats(nn.Module):
    """Answers with what it read last, of column 1 and 0, for two steps."""

    def forward(self, inputs):
        return inputs[:, -2:, [1, 0]].flatten(1)


def make_task(**options):
    defaults = {
        "horizon_steps": 2, "season_steps": 3, "target_columns": [1, 0], "target_names": ["b", "a"],
        "target_mean": [2.0, -1.0], "target_std": [3.0, 0.5], "subtract_last": False,
    }  # fmt: skip
    return ForecastingTask(Repeats(), **defaults | options)


def test_metrics_match_numpy_and_ignore_gaps():
    task = make_task()
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(20, 5, 2, generator=generator), torch.randn(20, 2, 2, generator=generator)
    targets[3, 1, 0] = targets[7] = float("nan")
    losses = []
    for part in (slice(0, 12), slice(12, 20)):
        step = task.compute_loss({"inputs": inputs[part], "targets": targets[part]})
        losses.append(float(step.loss))
        task.update_metrics(step.outputs, "val")
    found = task.compute_metrics("val")
    scaled = (targets.numpy() - [2.0, -1.0]) / [3.0, 0.5]
    ours = inputs[:, -2:, [1, 0]].numpy() - scaled
    naive = inputs[:, [2, 3]][:, :, [1, 0]].numpy() - scaled
    expected = {
        "mse": np.nanmean(ours**2), "mae": np.nanmean(np.abs(ours)),
        "naive_mse": np.nanmean(naive**2), "naive_mae": np.nanmean(np.abs(naive)),
        "skill": 1 - np.nanmean(ours**2) / np.nanmean(naive**2),
        "mae/b": np.nanmean(np.abs(ours[..., 0])) * 3, "mae/a": np.nanmean(np.abs(ours[..., 1])) * 0.5,
    }  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-5)
    assert losses == pytest.approx([np.nanmean(ours[:12] ** 2), np.nanmean(ours[12:] ** 2)], rel=1e-5)


def test_batch_of_missing_values_gives_no_gradient():
    task = ForecastingTask(DLinear(4, 2, [0], kernel_size=1), horizon_steps=2)
    loss = task.compute_loss(
        {"inputs": torch.randn(3, 4, 1), "targets": torch.full((3, 2, 1), float("nan"))}
    ).loss
    loss.backward()
    assert loss.item() == 0 and float(task.model.weight.grad.abs().sum()) == 0


def test_season_shorter_than_the_horizon_repeats():
    task = make_task(
        horizon_steps=5, target_columns=[0], target_names=["a"], target_mean=[0.0], target_std=[1.0]
    )
    naive = task.naive(torch.arange(8.0).view(1, 8, 1))
    assert naive.flatten().tolist() == [5, 6, 7, 5, 6]


def test_subtract_last_is_invariant_to_the_level():
    class Squares(Repeats):
        def forward(self, inputs):
            return super().forward(inputs) ** 2

    task, plain = make_task(subtract_last=True), make_task()
    task.model = plain.model = Squares()
    inputs = torch.randn(4, 5, 2)
    shifted = task.forecast(inputs + torch.tensor([10.0, -3.0]))
    assert torch.allclose(shifted, task.forecast(inputs) + torch.tensor([-3.0, 10.0]), atol=1e-5)
    shifted = plain.forecast(inputs + torch.tensor([10.0, -3.0]))
    assert not torch.allclose(shifted, plain.forecast(inputs) + torch.tensor([-3.0, 10.0]), atol=1)


def test_overfits_one_batch():
    torch.manual_seed(0)
    data = WavesDataModule(num_steps=300, input_steps=48, horizon_steps=6, batch_size=8)
    data.setup("fit")
    extra = data.facts.extra
    names = ("horizon_steps", "season_steps", "target_columns", "target_names", "target_mean", "target_std")
    task = ForecastingTask(
        DLinear(48, 6, extra["target_columns"], individual=True), **{k: extra[k] for k in names}
    )
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
    for _ in range(500):
        optimizer.zero_grad()
        loss = task.compute_loss(batch).loss
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01


@pytest.mark.parametrize(
    "more", [["model=dlinear"], ["model=mlp", "data.num_workers=2", "regularization.dropout=0.1"]]
)
def test_resumed_equals_uninterrupted(more, assert_resumed_equals_uninterrupted):
    words = [
        "data=waves",
        "data.num_steps=200",
        "data.input_steps=24",
        "data.horizon_steps=4",
        "trainer.max_epochs=3",
    ]
    calm = assert_resumed_equals_uninterrupted([*words, "data.batch_size=16", *more], (4, 9))
    names = {key for _, _, metrics in calm["points"] for key in metrics}
    assert {"train/loss", "val/mse", "val/naive_mse", "test/skill", "test/mae/load"} <= names


@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_metrics_and_forecasts_do_not_depend_on_an_offset(offset):
    task = make_task(target_mean=[offset + 2.0, offset - 1.0])
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(20, 5, 2, generator=generator)
    targets = torch.randn(20, 2, 2, generator=generator, dtype=torch.float64)
    batch = {"inputs": inputs, "targets": offset + targets}
    task.update_metrics(task.compute_loss(batch).outputs, "val")
    found = task.compute_metrics("val")
    ours = inputs[:, -2:, [1, 0]].numpy() - (targets.numpy() - [2.0, -1.0]) / [3.0, 0.5]
    assert found["mse"] == pytest.approx(np.mean(ours**2), rel=1e-5)
    assert found["mae/b"] == pytest.approx(np.abs(ours[..., 0]).mean() * 3, rel=1e-5)
    preds = task.half().float().predict_outputs(inputs)["preds"] - offset
    assert preds.numpy() == pytest.approx(inputs[:, -2:, [1, 0]].numpy() * [3.0, 0.5] + [2.0, -1.0], abs=1e-5)
    assert task.state_dict()["target_mean"].tolist() == [offset + 2.0, offset - 1.0]
    assert task.served({"preds": preds}).dtype == (torch.float64 if offset else torch.float32)
