import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import nn

from runner.tasks.regression import RegressionTask


def test_loss_is_standardised_and_metrics_are_in_the_datas_unit():
    torch.manual_seed(0)
    task = RegressionTask(nn.Identity(), target_mean=[100.0], target_std=[20.0])
    scaled, targets = torch.randn(80, 1), 100 + 20 * torch.randn(80, 1)
    step = task.step({"inputs": scaled, "targets": targets})
    assert step.loss == pytest.approx(float(((scaled - (targets - 100) / 20) ** 2).mean()), rel=1e-5)
    task.update_metrics(step.outputs, "val")
    found = {key: float(value) for key, value in task.compute_metrics("val").items()}
    preds, truth = (scaled * 20 + 100).numpy(), targets.numpy()
    assert found["rmse"] == pytest.approx(np.sqrt(sk.mean_squared_error(truth, preds)), rel=1e-5)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(truth, preds), rel=1e-5)
    assert found["r2"] == pytest.approx(sk.r2_score(truth, preds), abs=1e-4)


def test_flat_targets_and_rows():
    task = RegressionTask(nn.Identity(), target_mean=[1.0], target_std=[2.0], target_names=["price"])
    step = task.step({"inputs": torch.ones(3, 1), "targets": torch.tensor([3.0, 3.0, 3.0])})
    assert step.loss == 0
    assert task.rows({"preds": torch.tensor([[3.0]])}) == [{"price": 3.0}]
