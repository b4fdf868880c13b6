import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import nn

from runner.tasks.regression import RegressionTask


def test_loss_is_standardised_and_metrics_use_the_data_unit():
    torch.manual_seed(0)
    task = RegressionTask(nn.Identity(), target_mean=[100.0], target_std=[20.0])
    scaled, targets = torch.randn(80, 1), 100 + 20 * torch.randn(80, 1)
    step = task.compute_loss({"inputs": scaled, "targets": targets})
    assert step.loss == pytest.approx(float(((scaled - (targets - 100) / 20) ** 2).mean()), rel=1e-5)
    task.update_metrics(step.outputs, "val")
    found = {key: float(value) for key, value in task.compute_metrics("val").items()}
    preds, truth = (scaled * 20 + 100).numpy(), targets.numpy()
    assert found["rmse"] == pytest.approx(np.sqrt(sk.mean_squared_error(truth, preds)), rel=1e-5)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(truth, preds), rel=1e-5)
    assert found["r2"] == pytest.approx(sk.r2_score(truth, preds), abs=1e-4)


def test_flat_targets_and_rows():
    task = RegressionTask(nn.Identity(), target_mean=[1.0], target_std=[2.0], target_names=["price"])
    step = task.compute_loss({"inputs": torch.ones(3, 1), "targets": torch.tensor([3.0, 3.0, 3.0])})
    assert step.loss == 0
    assert task.rows({"preds": torch.tensor([[3.0]])}) == [{"price": 3.0}]


def test_scores_are_averaged_over_targets():
    """Pooled, the distance between the targets would count as variance explained."""
    torch.manual_seed(0)
    means, stds = [0.0, 1e4], [1.0, 5.0]
    task = RegressionTask(nn.Identity(), target_mean=means, target_std=stds, target_names=["shift", "price"])
    truth = torch.tensor(means) + torch.tensor(stds) * torch.randn(300, 2)
    preds = torch.stack([truth[:, 0] + 0.5 * torch.randn(300), torch.full((300,), 1e4)], 1)
    for part in range(0, 300, 64):
        task.update_metrics({"preds": preds[part : part + 64], "targets": truth[part : part + 64]}, "val")
    found = task.compute_metrics("val")
    pair = truth.double().numpy(), preds.double().numpy()
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(*pair), rel=1e-4)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(*pair), rel=1e-4)
    assert found["r2"] == pytest.approx(sk.r2_score(*pair), abs=1e-4)
    each = sk.r2_score(*pair, multioutput="raw_values")
    assert [found["r2/shift"], found["r2/price"]] == pytest.approx(each.tolist(), abs=1e-4)
    assert found["rmse/price"] == pytest.approx(
        sk.root_mean_squared_error(*pair, multioutput="raw_values")[1], rel=1e-4
    )


def test_constant_target_does_not_divide_by_zero():
    task = RegressionTask(nn.Identity(), target_mean=[3.0], target_std=[0.0])
    step = task.compute_loss({"inputs": torch.ones(4, 1), "targets": torch.full((4, 1), 3.0)})
    assert step.loss == 1
    assert step.outputs["preds"].tolist() == [[4.0]] * 4
