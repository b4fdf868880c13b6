"""Metrics of ``task.metrics``: what each task passes to them, and what is logged."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import CohenKappa, MeanAbsoluteError
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.text import CharErrorRate

from runner.errors import UserError
from runner.tasks.base import StepOutput, Task
from runner.tasks.classification import BinaryClassificationTask, ClassificationTask
from runner.tasks.extra_metrics import ExtraMetrics
from runner.tasks.forecasting import ForecastingTask
from runner.tasks.labelling import LabellingTask
from runner.tasks.language import LanguageTask
from runner.tasks.regression import RegressionTask
from runner.tasks.segmentation import SegmentationTask
from runner.tasks.seq2seq import Seq2SeqTask
from runner.tasks.word_vectors import WordVectorsTask

NAMES = ["a", "b", "c"]


class Repeats(nn.Module):
    """A language model that expects every token to be repeated."""

    def forward(self, tokens: Tensor, state: Any, with_state: bool) -> tuple[Tensor, Tensor]:
        return 9.0 * nn.functional.one_hot(tokens, 5).float(), torch.zeros(1, len(tokens), 1)


class Candidates(nn.Module):
    def forward(self, words: Tensor, candidates: Tensor) -> Tensor:
        return -candidates.float()


def ids(*shape: int) -> Tensor:
    return torch.randint(3, shape, generator=torch.Generator().manual_seed(0))


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


CASES: dict[str, tuple[Task, dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "classification": (
        ClassificationTask(nn.Identity(), class_names=NAMES),
        {"inputs": numbers(4, 3), "targets": ids(4)},
        (4, 3),
        (4,),
    ),
    "binary": (
        BinaryClassificationTask(nn.Identity(), class_names=NAMES[:2]),
        {"inputs": numbers(4, 1), "targets": ids(4).clamp(max=1)},
        (4,),
        (4,),
    ),
    "regression of one number": (
        RegressionTask(nn.Identity(), target_mean=[5.0], target_std=[2.0]),
        {"inputs": numbers(4, 1), "targets": numbers(4, 1)},
        (4,),
        (4,),
    ),
    "regression": (
        RegressionTask(nn.Identity(), target_mean=[5.0, 0.0], target_std=[2.0, 1.0], target_names=["x", "y"]),
        {"inputs": numbers(4, 2), "targets": numbers(4, 2)},
        (4, 2),
        (4, 2),
    ),
    "segmentation": (
        SegmentationTask(nn.Identity(), class_names=NAMES),
        {"inputs": numbers(2, 3, 8, 8), "targets": ids(2, 8, 8)},
        (2, 3, 8, 8),
        (2, 8, 8),
    ),
    "labelling": (
        LabellingTask(nn.Identity(), class_names=NAMES),
        {"inputs": numbers(2, 4, 3), "targets": ids(2, 4).index_fill(1, torch.tensor([3]), -100)},
        (6, 3),
        (6,),
    ),
    "forecasting": (
        ForecastingTask(nn.Sequential(nn.Flatten(), nn.Linear(6, 2)), horizon_steps=2),
        {"inputs": numbers(3, 6, 1), "targets": numbers(3, 2, 1).index_fill(0, torch.tensor([1]), torch.nan)},
        (4,),
        (4,),
    ),
    "language": (
        LanguageTask(Repeats()),
        {"inputs": ids(2, 4), "targets": ids(2, 4)},
        (8, 5),
        (8,),
    ),
    "word_vectors": (
        WordVectorsTask(Candidates()),
        {"inputs": ids(4), "targets": ids(4, 3), "pair_weight": torch.tensor([1.0, 0.0, 1.0, 1.0])},
        (3, 3),
        (3,),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_task_returns_the_documented_shapes(name: str) -> None:
    task, batch, preds_shape, targets_shape = CASES[name]
    step = task.checked(task.compute_loss(batch))
    preds, targets = task.metric_inputs(step.outputs | {"targets": batch["targets"]})
    assert preds.shape == preds_shape and targets.shape == targets_shape
    assert not preds.requires_grad and not preds.isnan().any() and not targets.isnan().any()


def test_classifiers_return_probabilities_and_regression_the_unit_of_the_data() -> None:
    task, batch, *_ = CASES["classification"]
    probs, _ = task.metric_inputs(task.compute_loss(batch).outputs)
    assert torch.equal(probs, batch["inputs"].softmax(-1))
    task, batch, *_ = CASES["binary"]
    probs, _ = task.metric_inputs(task.compute_loss(batch).outputs)
    assert torch.allclose(probs, batch["inputs"][:, 0].sigmoid())
    task, batch, *_ = CASES["regression of one number"]
    preds, targets = task.metric_inputs(task.compute_loss(batch).outputs)
    assert torch.allclose(preds, batch["inputs"][:, 0].double() * 2 + 5)
    assert torch.allclose(targets, batch["targets"][:, 0].double())


def test_translations_are_compared_as_texts() -> None:
    task = Seq2SeqTask(nn.Identity())
    task._batch_texts = {"reference": ["ab"], "greedy": ["ac"], "beam": ["ab"]}
    metrics = ExtraMetrics({"cer": CharErrorRate()})
    metrics.update("val", *task.metric_inputs({}))
    assert metrics.compute("val") == {"cer": 0.5}


def test_states_of_validation_and_test_are_separate_and_reset() -> None:
    metrics = ExtraMetrics({"kappa": CohenKappa(task="multiclass", num_classes=3)})
    preds, targets = torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 2, 1])
    metrics.update("val", preds, targets)
    metrics.update("test", preds, preds)
    assert metrics.compute("val")["kappa"] == pytest.approx(7 / 11)  # (0.75 − 0.3125) / (1 − 0.3125)
    assert metrics.compute("test") == {"kappa": 1.0}
    metrics.update("val", preds, preds)
    assert metrics.compute("val") == {"kappa": 1.0}
    assert metrics.state_dict() == {}


def test_one_value_per_class_is_logged_by_name() -> None:
    metrics = ExtraMetrics({"hits": MulticlassAccuracy(3, average="none")})
    metrics.update("val", torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 2, 1]))
    assert metrics.compute("val", NAMES) == {"hits/a": 1.0, "hits/b": 0.5, "hits/c": 1.0}


def test_float64_predictions_keep_their_precision() -> None:
    metrics = ExtraMetrics({"error": MeanAbsoluteError()})
    far = torch.full((4,), 1e9, dtype=torch.float64)
    metrics.update("val", far + 0.25, far)
    assert metrics.compute("val") == {"error": 0.25}


def test_metric_that_rejects_the_batch_is_named() -> None:
    metrics = ExtraMetrics({"error": MeanAbsoluteError()})
    with pytest.raises(UserError, match=r"task\.metrics\.error: MeanAbsoluteError .*\(4, 3\).*\(4,\)"):
        metrics.update("val", numbers(4, 3), ids(4))


def test_task_without_predictions_names_the_hook() -> None:
    with pytest.raises(UserError, match=r"metric_inputs\(\)"):
        Task(nn.Identity()).metric_inputs({"loss": 1})


class Incomplete(ClassificationTask):
    def compute_loss(self, batch: dict[str, Any]) -> StepOutput:
        step = super().compute_loss(batch)
        del step.outputs["logits"]
        return step


def test_missing_output_is_named() -> None:
    task, batch = Incomplete(nn.Identity(), class_names=NAMES), CASES["classification"][1]
    for method in (lambda: task.training_step(batch, 0), lambda: task.eval_step(batch)):
        with pytest.raises(UserError) as error:
            method()
        message = str(error.value)
        assert "Incomplete.compute_loss did not return outputs['logits'] ((N, num_classes))" in message
        assert "It returned 'targets'" in message


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (torch.tensor(1.0), "returned a Tensor; expected StepOutput"),
        (StepOutput(torch.ones(3), {}), r"a loss of shape \(3,\); expected a tensor with one number"),
        (StepOutput(1.0, {}), "a loss in a float; expected a tensor"),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_invalid_result_of_compute_loss_is_rejected(returned: Any, message: str) -> None:
    class Wrong(Task):
        def compute_loss(self, batch: dict[str, Any]) -> Any:
            return returned

    with pytest.raises(UserError, match=message):
        Wrong(nn.Identity()).training_step({}, 0)
