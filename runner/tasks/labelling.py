"""Sequence labelling: one class per step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.aggregation import MeanMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from runner.data.facts import Facts
from runner.errors import DataError, UserError
from runner.plots.class_scores import class_scores
from runner.plots.confusion import confusion_matrix, count_confusion
from runner.plots.text import accuracy_by_length
from runner.tasks.base import StepOutput, Task
from runner.tasks.classification_metrics import ClassF1, defined_scores
from runner.tasks.explanation import ExplanationRequest, ExplanationTarget, index_of
from runner.tasks.rejected_losses import LOSSES_OF_NUMBERS, LOSSES_OF_PROBABILITIES
from runner.tasks.shape_check import run_on_zeros, shape_of
from runner.tasks.typed_modules import TypedModuleDict

__all__ = ["LabellingTask"]

IGNORE = -100


class LabellingTask(Task):
    """Sequence labelling by a softmax over logits ``(N, T, K)``.

    Targets are class ids ``(N, T)``, -100 for padding. Macro F1 is the mean over the classes that occur in
    targets or predictions, as in scikit-learn; the F1 of all other classes is undefined and not reported.

    Args:
        model: maps inputs to logits.
        loss: loss of logits ``(steps, K)`` and class ids ``(steps,)``; its label smoothing is applied in
            training only.
        class_names: class names in the order of the ids.
    """

    monitor = "val/accuracy"
    mode = "max"
    metric_modes: ClassVar = {"loss": "min", "accuracy": "max", "f1_macro": "max", "sequence_accuracy": "max"}
    required_outputs: ClassVar = {"logits": "(N, T, K)", "targets": "class ids (N, T), -100 for padding"}
    served_as = "probability of each class at each step: (N, steps, classes)"
    explains_steps = True
    rejected_losses: ClassVar[tuple[type, ...]] = LOSSES_OF_NUMBERS + LOSSES_OF_PROBABILITIES

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        loss: nn.Module | None = None,
        class_names: Sequence[str] = (),
    ) -> None:
        super().__init__(model, optimizer, scheduler)
        self.loss = loss if loss is not None else nn.CrossEntropyLoss()
        self.class_names = [str(name) for name in class_names]
        self.metrics: TypedModuleDict[MetricCollection] = TypedModuleDict(
            {f"{split}_metrics": make_metrics(len(class_names)) for split in ("val", "test")}
        )
        self.class_f1: TypedModuleDict[ClassF1] = TypedModuleDict(
            {split: ClassF1(len(class_names)) for split in ("val", "test")}
        )
        self.whole: TypedModuleDict[MeanMetric] = TypedModuleDict(
            {split: MeanMetric() for split in ("val", "test")}
        )

    @classmethod
    def adapt_facts(cls, facts: Facts) -> Facts:
        if facts.task != "labelling":
            raise DataError(
                f"{facts.name} has no class for each step: its task is {facts.task}. Use task={facts.task}."
            )
        return facts

    @classmethod
    def check_model(cls, model: nn.Module, facts: Facts) -> None:
        name, shape = type(model).__name__, tuple(facts.input_shape)
        got = shape_of(run_on_zeros(model, shape, "sequences", "Models for labelling: `runner list`."))
        wanted = (1, shape[0], facts.num_outputs)
        if got != wanted:
            raise UserError(
                f"{name} returns {got} for one sequence; labelling expects {wanted}: logits of each class "
                "at each step. Models for labelling: `runner list`."
            )

    def compute_loss(self, batch: dict[str, Any]) -> StepOutput:
        logits, targets = self(batch["inputs"]), batch["targets"]
        valid = targets != IGNORE
        loss = self.loss(logits[valid].float(), targets[valid])
        return StepOutput(loss, {"logits": logits.detach(), "targets": targets})

    def loss_denominator(self, batch: dict[str, Any]) -> Tensor:
        """Counts steps, since sequence lengths differ between micro-batches and ranks."""
        return (batch["targets"] != IGNORE).sum()

    def metric_inputs(self, outputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Returns probabilities ``(M, K)`` and class ids ``(M,)`` of the M steps that are not padding."""
        valid = outputs["targets"] != IGNORE
        return outputs["logits"][valid].float().softmax(-1), outputs["targets"][valid]

    def update_metrics(self, outputs: dict[str, Any], split: str) -> None:
        """Updates the metrics; keeps outputs as lists, since sequence lengths differ between batches."""
        preds, targets = outputs.pop("logits").argmax(-1), outputs.pop("targets")
        valid = targets != IGNORE
        self.metrics[f"{split}_metrics"].update(preds[valid], targets[valid])
        self.class_f1[split].update(preds[valid], targets[valid])
        self.whole[split].update(((preds == targets) | ~valid).all(1).float())
        pairs = zip(preds, targets, valid, strict=True)
        outputs["steps"] = [torch.stack([pred[ok], target[ok]]) for pred, target, ok in pairs]

    def compute_metrics(self, split: str) -> dict[str, Any]:
        metrics, f1, whole = self.metrics[f"{split}_metrics"], self.class_f1[split], self.whole[split]
        values = {**metrics.compute(), "sequence_accuracy": whole.compute()}
        if self._trainer is not None and self._trainer.state.fn != "fit":
            values |= defined_scores("f1_class", self.class_names, f1.compute())
        for metric in (metrics, f1, whole):
            metric.reset()
        return values

    def figures(self, split: str, data: Any) -> Iterator[tuple[str, Any]]:
        outputs = self.outputs[split]
        if not outputs:
            return
        preds, targets = torch.cat(outputs["steps"], 1).numpy()
        counts = count_confusion(targets, preds, len(self.class_names))
        yield (
            f"{split}_confusion",
            confusion_matrix(counts, self.class_names, f"Confusion matrix of steps ({split})"),
        )
        yield f"{split}_class_scores", class_scores(counts, self.class_names, f"Scores by class ({split})")
        lengths = np.array([steps.shape[1] for steps in outputs["steps"]])
        right = np.array([float((steps[0] == steps[1]).float().mean()) for steps in outputs["steps"]])
        yield f"{split}_by_length", accuracy_by_length(lengths, right, f"Accuracy by length ({split})")

    def evaluated_rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the labels of each sequence, separated by spaces."""
        words = [
            [" ".join(self.class_names[number] for number in numbers) for numbers in steps.tolist()]
            for steps in outputs["steps"]
        ]
        return [{"target": target, "prediction": pred} for pred, target in words]

    def predict_outputs(self, inputs: Tensor) -> dict[str, Any]:
        lengths = (inputs != 0).sum(1) if inputs.dim() == 2 else (~inputs.isnan().all(-1)).sum(1)
        return {"logits": self(inputs), "lengths": lengths}

    def served(self, outputs: dict[str, Any]) -> Tensor:
        return outputs["logits"].float().softmax(-1)

    def rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        rows = []
        for logits, length in zip(outputs["logits"], outputs["lengths"].tolist(), strict=True):
            confidences, preds = logits[:length].float().softmax(-1).max(-1)
            names = [self.class_names[number] for number in preds.tolist()]
            rows.append({"labels": names, "confidence": round(confidences.mean().item(), 6)})
        return rows

    def explanation_targets(self, request: ExplanationRequest) -> list[ExplanationTarget]:
        """Explains the logit of each step, or of a single one."""
        with torch.no_grad():
            probs = request.forward(request.inputs)[0].float().softmax(-1)
        names = self.class_names
        wanted = None if request.target is None else index_of(request.target, names, "class")
        if request.step is not None and request.step > len(probs):
            raise UserError(f"--step {request.step}: the sequence has {len(probs)} steps.")
        steps = range(len(probs)) if request.step is None else [request.step - 1]
        targets = []
        for step in steps:
            chosen = int(probs[step].argmax())
            number = chosen if wanted is None else wanted

            def score(batch: Tensor, step: int = step, number: int = number) -> Tensor:
                return request.forward(batch)[:, step, number]

            prediction = f"{names[chosen]} {float(probs[step, chosen]):.0%}"
            truth = "" if request.truth is None else names[int(request.truth[step])]
            targets.append(
                ExplanationTarget(score, names[number], prediction, truth=truth, step=step + 1, position=step)
            )
        return targets


def make_metrics(num_classes: int) -> MetricCollection:
    """Builds accuracy and macro F1 of ``num_classes`` classes."""
    options: dict[str, Any] = {"num_classes": num_classes, "validate_args": False}
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(average="micro", **options),
            "f1_macro": MulticlassF1Score(average="macro", **options),
        }
    )
