"""Classification: one class per input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCalibrationError,
    MulticlassF1Score,
    MulticlassPrecision,
)

from runner.data.facts import Facts
from runner.distributed.collectives import all_gather, sum_over_ranks
from runner.errors import DataError, UserError
from runner.tasks.base import StepOutput, Task
from runner.tasks.classification_figures import classification_figures
from runner.tasks.classification_metrics import (
    AreaUnderROC,
    AveragePrecision,
    BalancedAccuracy,
    ClassF1,
    ClassRecall,
    Score,
    best_threshold,
    defined_scores,
    shifted,
)
from runner.tasks.classification_metrics import class_weights as weights_of_classes
from runner.tasks.explanation import ExplanationRequest, ExplanationTarget, index_of
from runner.tasks.members import average_members, repeat_for_members
from runner.tasks.rejected_losses import LOSSES_OF_NUMBERS, LOSSES_OF_PROBABILITIES
from runner.tasks.typed_modules import TypedModuleDict

__all__ = ["BinaryClassificationTask", "ClassificationTask"]


NAMED_CLASSES = 10
"""Maximum number of classes whose probability is part of a prediction, the most likely first."""
SCORED_CLASSES = 40
"""Maximum number of classes for which per-class scores are reported."""


class ClassificationTask(Task):
    """Classification by a softmax over logits ``(N, num_classes)``; targets are class ids ``(N,)``.

    Undefined scores are not reported: the recall of a class without samples, the F1 of a class in neither
    targets nor predictions, and the area under the ROC curve if all samples belong to one class.

    Args:
        model: maps inputs to logits.
        loss: loss of logits and class ids; its label smoothing is applied in training only.
        class_names: class names in the order of the ids.
        class_counts: number of training samples of each class.
        class_weights: weight of each class's samples in the loss: ``balanced``, the inverse of the class's
            count; ``effective``, the inverse of its effective number (Cui et al. 2019); or one weight per
            class.
        weight_power: exponent applied to these weights; 0 makes all of them 1.
    """

    weights: Tensor | None

    mixes = True
    one_logit = False
    monitor = "val/accuracy"
    mode = "max"
    metric_modes: ClassVar = {
        "loss": "min",
        "accuracy": "max",
        "balanced_accuracy": "max",
        "precision_macro": "max",
        "f1_macro": "max",
        "calibration_error": "min",
        "auroc": "max",
        "pr_auc": "max",
    }
    train_metric_modes: ClassVar = {"epoch_loss": "min", "accuracy": "max"}
    served_as = "probability of each class"
    required_outputs: ClassVar = {"logits": "(N, num_classes)", "targets": "class ids (N,)"}
    rejected_losses: ClassVar[tuple[type, ...]] = LOSSES_OF_NUMBERS + LOSSES_OF_PROBABILITIES

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        loss: nn.Module | None = None,
        class_names: Sequence[str] = (),
        class_counts: Sequence[int] = (),
        class_weights: Literal["balanced", "effective"] | Sequence[Annotated[float, Gt(0)]] | None = None,
        weight_power: Annotated[float, Ge(0), Le(1)] = 1.0,
    ) -> None:
        super().__init__(model, optimizer, scheduler)
        self.loss = loss if loss is not None else nn.CrossEntropyLoss()
        self.class_names = [str(name) for name in class_names]
        weights = None
        if class_weights is not None:
            weights = weights_of_classes(class_weights, class_counts, weight_power)
            self.loss = unreduced(self.loss)
        self.register_buffer("weights", weights, persistent=False)
        num_classes = len(self.class_names)
        self.metrics: TypedModuleDict[MetricCollection] = TypedModuleDict(
            {f"{split}_metrics": make_metrics(num_classes) for split in ("val", "test")}
        )
        self.class_f1: TypedModuleDict[ClassF1] = TypedModuleDict(
            {split: ClassF1(num_classes) for split in ("val", "test")}
        )
        self._num_correct: Tensor | None = None
        self._num_seen = 0
        if isinstance(getattr(self.loss, "weight", None), Tensor) and weights is None and not self.one_logit:
            self.loss_denominator = self.sum_of_class_weights

    def sum_of_class_weights(self, batch: dict[str, Any]) -> Tensor:
        """Returns the denominator of a cross-entropy with class weights."""
        weight: Any = self.loss.weight
        return weight[batch["targets"].long()].sum()

    @classmethod
    def adapt_facts(cls, facts: Facts) -> Facts:
        if facts.num_classes < 2:
            raise DataError(
                f"{facts.name} has {facts.num_classes} classes {facts.class_names}; classification needs at "
                "least 2."
            )
        return facts

    def probs_of(self, logits: Tensor) -> Tensor:
        """Returns class probabilities, ``(N, num_classes)``."""
        return logits.float().softmax(-1)

    def loss_of(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Computes the loss.

        Args:
            logits: ``(N, C)``.
            targets: class ids ``(N,)``, or class probabilities ``(N, C)`` such as those from MixUp.
        """
        losses = self.loss(logits.float(), targets)
        if self.weights is None:
            return losses
        counted = self.weights[targets] if targets.ndim == 1 else targets @ self.weights
        return (counted * losses).mean()

    def class_ids(self, targets: Tensor) -> Tensor:
        """Converts targets to class ids ``(N,)``."""
        return targets if targets.ndim == 1 else targets.argmax(-1)

    def compute_loss(self, batch: dict[str, Any]) -> StepOutput:
        logits, targets = self(batch["inputs"]), batch["targets"]
        loss = self.loss_of(*repeat_for_members(logits, targets))
        outputs = {"logits": average_members(logits.detach()), "targets": self.class_ids(targets)}
        return StepOutput(loss, outputs)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        step = self.checked(self.compute_loss(batch))
        correct = (self.decide(step.outputs["logits"]) == step.outputs["targets"]).sum()
        self._num_correct = correct if self._num_correct is None else self._num_correct + correct
        self._num_seen += len(step.outputs["targets"])
        return self.record_loss(step.loss, batch)

    def decide(self, logits: Tensor) -> Tensor:
        """Returns the predicted class ids, ``(N,)``."""
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
        """Saves the counts summed over all ranks."""
        counts = sum_over_ranks(self._correct_so_far(), self._num_seen)
        checkpoint["train_accuracy_state"] = [int(count) for count in counts]

    def _correct_so_far(self) -> int:
        return 0 if self._num_correct is None else int(self._num_correct)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        correct, self._num_seen = checkpoint.get("train_accuracy_state", [0, 0])
        if self.global_rank and self._num_seen:
            correct, self._num_seen = 0, 0  # rank 0 continues with the counts of all ranks
        self._num_correct = torch.tensor(correct, device=self.device) if self._num_seen else None

    def metric_inputs(self, outputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Returns probabilities ``(N, num_classes)`` and class ids ``(N,)``."""
        return self.probs_of(outputs["logits"]), outputs["targets"]

    def update_metrics(self, outputs: dict[str, Any], split: str) -> None:
        probs = self.probs_of(outputs["logits"])
        self.metrics[f"{split}_metrics"].update(probs, outputs["targets"])
        self.class_f1[split].update(probs, outputs["targets"])

    def compute_metrics(self, split: str) -> dict[str, Any]:
        metrics = self.metrics[f"{split}_metrics"]
        values: dict[str, Any] = dict(metrics.compute())
        recalls = values.pop("recall", None)
        metrics.reset()
        if "auroc" in values and values["auroc"].isnan():
            del values["auroc"]
        f1 = self.class_f1[split]
        if self.is_last_evaluation() and len(self.class_names) <= SCORED_CLASSES:
            values |= defined_scores("f1_class", self.class_names, f1.compute())
            if recalls is not None:
                values |= defined_scores("recall_class", self.class_names, recalls)
        f1.reset()
        return values

    def is_last_evaluation(self) -> bool:
        """Returns whether this evaluation runs after training, so that per-class scores are reported."""
        return self._trainer is not None and self._trainer.state.fn != "fit"

    def predict_outputs(self, inputs: Tensor) -> dict[str, Any]:
        return {"logits": self(inputs)}

    def served(self, outputs: dict[str, Any]) -> Tensor:
        return self.probs_of(outputs["logits"])

    def rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        probs = self.probs_of(outputs["logits"]).cpu()
        rows = []
        for row in probs.tolist():
            ranked = sorted(zip(row, self.class_names, strict=True), key=lambda pair: -pair[0])
            probabilities = {name: round(value, 6) for value, name in ranked[:NAMED_CLASSES]}
            chosen = self.choose(row)
            rows.append(
                {
                    "class": self.class_names[chosen],
                    "confidence": round(row[chosen], 6),
                    "probs": probabilities,
                }
            )
        return rows

    def evaluated_rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        names, probs = self.class_names, self.probs_of(outputs["logits"]).tolist()
        return [
            {
                "target": names[target],
                "prediction": names[self.choose(row)],
                "probs": dict(zip(names, row, strict=True)),
            }
            for target, row in zip(outputs["targets"].tolist(), probs, strict=True)
        ]

    def choose(self, probs: Sequence[float]) -> int:
        """Returns the predicted class for a row of probabilities; ties go to the first, as in the metrics."""
        return max(range(len(probs)), key=probs.__getitem__)

    def figures(self, split: str, data: Any) -> Iterator[tuple[str, Any]]:
        outputs = self.outputs[split]
        if outputs:
            probs = self.probs_of(outputs["logits"]).numpy()
            yield from classification_figures(self, split, data, probs, outputs)

    # Explanations

    def explanation_targets(self, request: ExplanationRequest) -> list[ExplanationTarget]:
        """Explains the logit of a class; for a single logit, its negative for the first class."""
        with torch.no_grad():
            probs = self.probs_of(request.forward(request.inputs))[0].tolist()
        names, chosen = self.class_names, self.choose(probs)
        number = chosen if request.target is None else index_of(request.target, names, "class")

        def score(batch: Tensor) -> Tensor:
            logits = request.forward(batch)
            if not self.one_logit:
                return logits[:, number]
            return logits.reshape(-1) if number else -logits.reshape(-1)

        prediction = f"{names[chosen]} {probs[chosen]:.0%}"
        truth = "" if request.truth is None else names[int(request.truth)]
        return [ExplanationTarget(score, names[number], prediction, truth=truth, probability=probs[number])]

    def permutation_quality(self, target: str | None) -> tuple[str, Callable[[Tensor, Tensor], Tensor]]:
        """Measures the accuracy."""
        if target is not None:
            raise UserError(
                "--target would have no effect: permutation importance is measured on all classes."
            )
        return "accuracy", lambda inputs, targets: (self.decide(self(inputs)) == targets).double().mean()


class BinaryClassificationTask(ClassificationTask):
    """Binary classification by a sigmoid over one logit ``(N, 1)``; targets are 0 and 1.

    Args:
        threshold: minimum probability for predicting the second class; ``auto`` selects the threshold with
            the best ``tuned_for`` at every validation and saves it in the checkpoint.
        tuned_for: the score that ``threshold=auto`` maximizes.
    """

    threshold: Tensor

    one_logit = True
    required_outputs: ClassVar = {"logits": "(N, 1)", "targets": "class ids (N,)"}
    metric_modes: ClassVar = ClassificationTask.metric_modes
    rejected_losses: ClassVar[tuple[type, ...]] = (*LOSSES_OF_NUMBERS, nn.CrossEntropyLoss)

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        loss: nn.Module | None = None,
        class_names: Sequence[str] = (),
        class_counts: Sequence[int] = (),
        class_weights: Literal["balanced", "effective"] | Sequence[Annotated[float, Gt(0)]] | None = None,
        weight_power: Annotated[float, Ge(0), Le(1)] = 1.0,
        threshold: Annotated[float, Gt(0), Lt(1)] | Literal["auto"] = 0.5,
        tuned_for: Score = "f1",
    ) -> None:
        loss = loss if loss is not None else nn.BCEWithLogitsLoss()
        super().__init__(
            model, optimizer, scheduler, loss, class_names, class_counts, class_weights, weight_power
        )
        self.tuned_for = tuned_for if threshold == "auto" else None
        value = torch.tensor(0.5 if threshold == "auto" else threshold)
        self.register_buffer("threshold", value, persistent=threshold == "auto")
        self._seen: list[tuple[Tensor, Tensor]] = []

    @classmethod
    def adapt_facts(cls, facts: Facts) -> Facts:
        if facts.num_classes != 2:
            raise DataError(
                f"{facts.name} has {facts.num_classes} classes; task=binary takes exactly 2. Use "
                "task=classification."
            )
        return replace(facts, num_outputs=1)

    def probs_of(self, logits: Tensor) -> Tensor:
        positive = logits.float().reshape(-1).sigmoid()
        return torch.stack([1 - positive, positive], -1)

    def loss_of(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Computes the loss for targets 0 and 1, or probabilities of the second class."""
        targets = targets.float()
        losses = self.loss(logits.float().reshape(-1), targets)
        if self.weights is None:
            return losses
        return ((self.weights[0] * (1 - targets) + self.weights[1] * targets) * losses).mean()

    def class_ids(self, targets: Tensor) -> Tensor:
        return targets.round().long() if targets.is_floating_point() else targets

    def decide(self, logits: Tensor) -> Tensor:
        return (logits.reshape(-1) >= torch.logit(self.threshold)).long()

    def choose(self, probs: Sequence[float]) -> int:
        return int(probs[1] >= float(self.threshold))

    def metric_inputs(self, outputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Returns the probability of the second class ``(N,)`` and class ids ``(N,)``."""
        return self.probs_of(outputs["logits"])[:, 1], outputs["targets"]

    def update_metrics(self, outputs: dict[str, Any], split: str) -> None:
        probs, targets = self.probs_of(outputs["logits"]), outputs["targets"]
        if self.tuned_for and split == "val":
            self._seen.append((probs, targets))
        else:
            self._update(probs, targets, split)

    def _update(self, probs: Tensor, targets: Tensor, split: str) -> None:
        """Applies the threshold for metrics of decisions; areas and calibration use the probabilities."""
        bent = shifted(probs, self.threshold)
        for name, metric in self.metrics[f"{split}_metrics"].items():
            metric.update(bent if name in DECIDED else probs, targets)
        self.class_f1[split].update(bent, targets)

    def compute_metrics(self, split: str) -> dict[str, Any]:
        if not self.tuned_for:
            return super().compute_metrics(split)
        if split == "val" and self._seen:
            probs, targets = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
            self._seen = []
            if self.is_last_evaluation():
                self._update(probs, targets, split)  # with the threshold from the checkpoint
            else:
                ranks = all_gather([probs[:, 1].cpu(), targets.cpu()])
                positive, classes = (torch.cat([rank[part] for rank in ranks]) for part in (0, 1))
                self.threshold.fill_(best_threshold(positive, classes, self.tuned_for))
                self._update(probs, targets, split)
        return super().compute_metrics(split) | {"threshold": self.threshold.clone()}


def unreduced(loss: nn.Module) -> nn.Module:
    """Sets the loss to return one value per sample, so that samples can be weighted.

    Raises:
        UserError: the loss has no ``reduction`` to change.
    """
    if getattr(loss, "reduction", None) != "mean":
        raise UserError(
            f"task.class_weights: {type(loss).__name__} cannot return the loss of each sample (it has no "
            "reduction), so samples cannot be weighted. Remove class_weights, or choose another loss."
        )
    setattr(loss, "reduction", "none")  # noqa: B010  # not declared on nn.Module
    return loss


DECIDED = ("accuracy", "balanced_accuracy", "precision_macro", "f1_macro", "recall")
"""Metrics of the predicted classes, which depend on the threshold."""


def make_metrics(num_classes: int) -> MetricCollection:
    """Builds the metrics of ``num_classes`` classes.

    These are accuracy, balanced accuracy, macro precision and F1, per-class recall and calibration error, and
    for two classes the areas under the ROC and precision-recall curves.

    Averages over classes follow scikit-learn: recall averages over the classes that occur in the targets,
    precision and F1 over those that occur in the targets or the predictions.
    """
    options: dict[str, Any] = {"num_classes": num_classes, "validate_args": False}
    metrics: dict[str, Metric | MetricCollection] = {
        "accuracy": MulticlassAccuracy(average="micro", **options),
        "balanced_accuracy": BalancedAccuracy(**options),
        "precision_macro": MulticlassPrecision(average="macro", **options),
        "f1_macro": MulticlassF1Score(average="macro", **options),
        "recall": ClassRecall(**options),
        "calibration_error": MulticlassCalibrationError(n_bins=15, **options),
    }
    if num_classes == 2:
        # Exact thresholds: bins could not distinguish the small probabilities of a rare class.
        metrics["auroc"] = AreaUnderROC(thresholds=None, validate_args=False)
        metrics["pr_auc"] = AveragePrecision(thresholds=None, validate_args=False)
        return MetricCollection(metrics, compute_groups=False)
    return MetricCollection(metrics)
