"""The loss of a split: the plain one, however the split is dealt into batches."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from runner.losses.mask import MaskLoss
from runner.losses.weighted import WeightedSum
from runner.tasks.base import Task
from runner.tasks.classification import ClassificationTask
from runner.tasks.forecasting import ForecastingTask
from runner.tasks.labelling import LabellingTask
from runner.tasks.segmentation import SegmentationTask

NAMES = ["a", "b", "c"]
NUM = 20


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def classes(*shape: int) -> torch.Tensor:
    return torch.randint(0, 3, shape, generator=torch.Generator().manual_seed(1))


def segmentation(**options: Any) -> tuple[Task, dict[str, torch.Tensor]]:
    targets = classes(NUM, 6, 6)
    for number in range(NUM):
        targets[number].view(-1)[: 2 * number - 4] = 255  # ever more that does not count
    loss = MaskLoss(ignore_index=255, **options)
    return SegmentationTask(nn.Conv2d(3, 3, 1), loss=loss, class_names=NAMES), {
        "inputs": drawn(NUM, 3, 6, 6), "targets": targets, "index": torch.arange(NUM),
    }  # fmt: skip


def classification(loss: nn.Module, **options: Any) -> tuple[Task, dict[str, torch.Tensor]]:
    task = ClassificationTask(
        nn.Linear(4, 3), loss=loss, class_names=NAMES, class_counts=[9, 5, 6], **options
    )
    return task, {"inputs": 3 * drawn(NUM, 4), "targets": classes(NUM), "index": torch.arange(NUM)}


def labelling(**options: Any) -> tuple[Task, dict[str, torch.Tensor]]:
    targets = classes(NUM, 9)
    for number in range(NUM):
        targets[number, 1 + number // 3 :] = -100
    task = LabellingTask(nn.Linear(4, 3), loss=nn.CrossEntropyLoss(**options), class_names=NAMES)
    return task, {"inputs": drawn(NUM, 9, 4), "targets": targets, "index": torch.arange(NUM)}


def forecasting() -> tuple[Task, dict[str, torch.Tensor]]:
    targets = drawn(NUM, 5, 1)
    for number in range(NUM):
        targets[number, : number // 4] = float("nan")
    task = ForecastingTask(nn.Sequential(nn.Flatten(), nn.Linear(8, 5)), horizon_steps=5)
    return task, {"inputs": drawn(NUM, 8, 1), "targets": targets, "index": torch.arange(NUM)}


def split_loss(made: tuple[Task, dict[str, torch.Tensor]], batch_size: int) -> float:
    task, whole = made
    logged: dict[str, float] = {}
    task._trainer = SimpleNamespace(state=SimpleNamespace(fn="validate"), logger=None, sanity_checking=False)
    task.log_dict = lambda metrics, **_: logged.update(metrics)
    task.eval()
    with torch.no_grad():
        for begin in range(0, NUM, batch_size):
            task.validation_step(
                {key: value[begin : begin + batch_size] for key, value in whole.items()}, begin
            )
    task.on_validation_epoch_end()
    return logged["val/loss"]


WEIGHTS = [0.2, 1.0, 5.0]
CASES: dict[str, Callable[[], tuple[Task, dict[str, torch.Tensor]]]] = {
    "ignored pixels": segmentation,
    "pixels of classes with weights": lambda: segmentation(class_weights=WEIGHTS),
    "dice": lambda: segmentation(cross_entropy=0.0, dice=1.0),
    "jaccard": lambda: segmentation(cross_entropy=0.0, jaccard=1.0),
    "focal": lambda: segmentation(cross_entropy=0.0, focal=1.0),
    "all parts with weights": lambda: segmentation(
        cross_entropy=0.5, dice=2.0, jaccard=0.3, focal=3.0, class_weights=WEIGHTS
    ),
    "weighted cross-entropy": lambda: classification(nn.CrossEntropyLoss(torch.tensor(WEIGHTS))),
    "class_weights": lambda: classification(nn.CrossEntropyLoss(), class_weights="balanced"),
    "both weights": lambda: classification(
        nn.CrossEntropyLoss(torch.tensor(WEIGHTS)), class_weights="balanced"
    ),
    "sequences of any length": labelling,
    "values that are missing": forecasting,
}


@pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())
def test_loss_does_not_depend_on_the_batch_size(make):
    torch.manual_seed(0)
    made = make()
    with torch.no_grad():
        at_once = float(made[0].eval().compute_loss(made[1]).loss)
    for batch_size in (3, 7, NUM):
        assert split_loss(made, batch_size) == pytest.approx(at_once, rel=1e-6)
        with torch.no_grad():
            batches = [
                {key: value[i : i + batch_size] for key, value in made[1].items()}
                for i in range(0, NUM, batch_size)
            ]
            assert made[0].loss_over(batches) == pytest.approx(at_once, rel=1e-6)


SMOOTHED: dict[str, Callable[[float], tuple[Task, dict[str, torch.Tensor]]]] = {
    "classification": lambda share: classification(nn.CrossEntropyLoss(label_smoothing=share)),
    "a sum": lambda share: classification(WeightedSum([nn.CrossEntropyLoss(label_smoothing=share)])),
    "labelling": lambda share: labelling(label_smoothing=share),
    "segmentation": lambda share: segmentation(label_smoothing=share),
}


@pytest.mark.parametrize("make", SMOOTHED.values(), ids=SMOOTHED.keys())
def test_labels_are_smoothed_in_training_only(make):
    (plain, batch), (smooth, _) = made = [make(0.0), make(0.3)]
    smooth.model.load_state_dict(plain.model.state_dict())
    assert split_loss(made[1], 7) == pytest.approx(split_loss(made[0], 7), rel=1e-6)
    losses = [float(task.summed_loss(batch)[0]) for task in (plain, smooth)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    trained = [float(task.training_step(batch, 0).detach()) for task in (plain, smooth)]
    assert abs(trained[1] - trained[0]) > 1e-3


def test_loss_of_another_library_is_a_mean_over_images():
    from segmentation_models_pytorch.losses import DiceLoss

    task, batch = segmentation()
    task.loss = DiceLoss("multiclass", ignore_index=255)
    with torch.no_grad():
        logits = task.model(batch["inputs"])
        counts = [(target != 255).sum() for target in batch["targets"]]
        losses = [task.loss(logits[[n]], batch["targets"][[n]]) for n in range(NUM)]
    mean = sum(count * loss for count, loss in zip(counts, losses, strict=True)) / sum(counts)
    for batch_size in (3, 7, NUM):
        assert split_loss((task, batch), batch_size) == pytest.approx(float(mean), rel=1e-6)


def test_dice_is_computed_over_all_pixels_of_a_split():
    """Computed in NumPy from the sums of the whole split; the mean of the batches differs."""
    task, batch = segmentation(cross_entropy=0.0, dice=1.0)
    with torch.no_grad():
        probs = task.model(batch["inputs"]).softmax(1).double().numpy()
    targets = batch["targets"].numpy()
    counted = targets != 255
    dice = [
        2 * (probs[:, k] * (targets == k)).sum() / ((probs[:, k] * counted).sum() + (targets == k).sum())
        for k in range(3)
    ]
    assert split_loss((task, batch), 3) == pytest.approx(1 - sum(dice) / 3, rel=1e-6)
