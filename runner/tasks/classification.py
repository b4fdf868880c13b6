"""One class an input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    BinaryAUROC,
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from runner.data.facts import Facts
from runner.errors import DataError
from runner.ranks.exchange import sum_over_ranks
from runner.tasks.base import Step, Task
from runner.tasks.classification_figures import classification_figures

__all__ = ["BinaryClassificationTask", "ClassificationTask"]


NAMED_CLASSES = 10
"""Classes whose probability a prediction tells, the likeliest first."""
SCORED_CLASSES = 40
"""The F1 of each class is told of so many classes at most."""


class ClassificationTask(Task):
    """Classes by a softmax over logits ``(N, num_classes)``; targets are class ids ``(N,)``.

    Args:
        model: inputs to logits.
        loss: of logits and class ids.
        class_names: in the order of the ids.
    """

    monitor = "val/accuracy"
    mode = "max"
    served_as = "probability of each class"
    refused_losses: ClassVar = (nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.SmoothL1Loss, nn.BCEWithLogitsLoss, nn.BCELoss)

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        loss: nn.Module | None = None,
        class_names: Sequence[str] = (),
    ):
        super().__init__(model, optimizer, scheduler)
        self.loss = loss if loss is not None else nn.CrossEntropyLoss()
        self.class_names = [str(name) for name in class_names]
        num_classes = len(self.class_names)
        self.metrics = nn.ModuleDict({f"{split}_metrics": make_metrics(num_classes) for split in ("val", "test")})
        options = {"num_classes": num_classes, "average": "none", "validate_args": False}
        self.class_f1 = nn.ModuleDict({split: MulticlassF1Score(**options) for split in ("val", "test")})
        self._num_correct: Tensor | None = None
        self._num_seen = 0
        if isinstance(getattr(self.loss, "weight", None), Tensor):
            self.loss_units = self.sum_of_class_weights

    def sum_of_class_weights(self, batch: dict[str, Any]) -> Tensor:
        """What a cross-entropy whose classes have weights divides by."""
        return self.loss.weight[batch["targets"].long()].sum()

    @classmethod
    def adapt(cls, facts: Facts) -> Facts:
        if facts.num_classes < 2:
            raise DataError(
                f"{facts.name} has {facts.num_classes} classes {facts.class_names}; classification needs at least 2."
            )
        return facts

    def probs_of(self, logits: Tensor) -> Tensor:
        """``(N, num_classes)`` probabilities."""
        return logits.float().softmax(-1)

    def loss_of(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self.loss(logits.float(), targets)

    def step(self, batch: dict[str, Any]) -> Step:
        logits, targets = self(batch["inputs"]), batch["targets"]
        loss = self.loss_of(logits, targets)
        return Step(loss, {"logits": logits.detach(), "targets": targets})

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        step = self.step(batch)
        correct = (self.decide(step.outputs["logits"]) == step.outputs["targets"]).sum()
        self._num_correct = correct if self._num_correct is None else self._num_correct + correct
        self._num_seen += len(step.outputs["targets"])
        return self.take_loss(step.loss, batch)

    def decide(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1)

    def on_train_epoch_end(self) -> None:
        correct, seen = sum_over_ranks(self._correct_so_far(), self._num_seen)
        self._num_correct, self._num_seen = None, 0
        if seen:
            accuracy = {"train/accuracy": correct / seen}
            self.log_dict(accuracy, logger=False)
            if self.trainer.logger is not None:
                self.trainer.logger.log_metrics(accuracy, step=self.trainer.global_step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The counts of all ranks together."""
        counts = sum_over_ranks(self._correct_so_far(), self._num_seen)
        checkpoint["train_accuracy_state"] = [int(count) for count in counts]

    def _correct_so_far(self) -> int:
        return 0 if self._num_correct is None else int(self._num_correct)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        correct, self._num_seen = checkpoint.get("train_accuracy_state", [0, 0])
        if self.global_rank and self._num_seen:
            correct, self._num_seen = 0, 0  # rank zero goes on with the counts of all
        self._num_correct = torch.tensor(correct, device=self.device) if self._num_seen else None

    def update_metrics(self, outputs: dict[str, Any], split: str) -> None:
        probs = self.probs_of(outputs["logits"])
        self.metrics[f"{split}_metrics"].update(probs, outputs["targets"])
        self.class_f1[split].update(probs, outputs["targets"])

    def compute_metrics(self, split: str) -> dict[str, Tensor]:
        metrics = self.metrics[f"{split}_metrics"]
        values = dict(metrics.compute())
        metrics.reset()
        f1 = self.class_f1[split]
        if self._trainer is not None and self._trainer.state.fn != "fit" and len(self.class_names) <= SCORED_CLASSES:
            scores = zip(self.class_names, f1.compute().tolist(), strict=True)
            values |= {f"f1_class/{name}": score for name, score in scores}
        f1.reset()
        return values

    def predict_outputs(self, inputs: Tensor) -> dict[str, Any]:
        return {"logits": self(inputs)}

    def served(self, outputs: dict[str, Any]) -> Tensor:
        return self.probs_of(outputs["logits"])

    def rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        probs = self.probs_of(outputs["logits"]).cpu()
        rows = []
        for row in probs.tolist():
            ranked = sorted(zip(row, self.class_names, strict=True), reverse=True)
            probabilities = {name: round(value, 6) for value, name in ranked[:NAMED_CLASSES]}
            rows.append({"class": ranked[0][1], "confidence": round(ranked[0][0], 6), "probs": probabilities})
        return rows

    def figures(self, split: str, data: Any) -> Iterator[tuple[str, Any]]:
        outputs = self.outputs[split]
        if outputs:
            probs = self.probs_of(outputs["logits"]).numpy()
            yield from classification_figures(self, split, data, probs, outputs)


class BinaryClassificationTask(ClassificationTask):
    """Two classes by a sigmoid over one logit ``(N, 1)``; targets are 0 and 1."""

    refused_losses: ClassVar = (nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.SmoothL1Loss, nn.CrossEntropyLoss)

    @classmethod
    def adapt(cls, facts: Facts) -> Facts:
        if facts.num_classes != 2:
            raise DataError(
                f"{facts.name} has {facts.num_classes} classes; task=binary takes exactly 2. Use task=classification."
            )
        return replace(facts, num_outputs=1)

    def probs_of(self, logits: Tensor) -> Tensor:
        positive = logits.float().reshape(-1).sigmoid()
        return torch.stack([1 - positive, positive], -1)

    def loss_of(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self.loss(logits.float().reshape(-1), targets.float())

    def decide(self, logits: Tensor) -> Tensor:
        return (logits.reshape(-1) > 0).long()


class _BinaryAUROC(BinaryAUROC):
    """Area under the ROC curve from two-class probabilities ``(N, 2)``."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds[:, 1], target)


def make_metrics(num_classes: int) -> MetricCollection:
    """Accuracy, balanced accuracy, macro precision, recall and F1, calibration error; AUROC for two classes."""
    options = {"num_classes": num_classes, "validate_args": False}
    metrics = {
        "accuracy": MulticlassAccuracy(average="micro", **options),
        "balanced_accuracy": MulticlassRecall(average="macro", **options),
        "precision_macro": MulticlassPrecision(average="macro", **options),
        "f1_macro": MulticlassF1Score(average="macro", **options),
        "calibration_error": MulticlassCalibrationError(n_bins=15, **options),
    }
    if num_classes == 2:
        metrics["auroc"] = _BinaryAUROC(thresholds=1000, validate_args=False)
    return MetricCollection(metrics)
