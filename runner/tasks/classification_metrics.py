"""Per-class metrics, class weights and the decision threshold of classification."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torchmetrics.classification import (
    BinaryAUROC,
    BinaryAveragePrecision,
    MulticlassF1Score,
    MulticlassRecall,
)
from torchmetrics.utilities.data import dim_zero_cat

from runner.errors import UserError

__all__ = [
    "AreaUnderROC",
    "AveragePrecision",
    "BalancedAccuracy",
    "ClassF1",
    "ClassRecall",
    "Score",
    "best_threshold",
    "class_weights",
    "defined_scores",
    "shifted",
]


class ClassRecall(MulticlassRecall):
    """Recall of each class, ``(K,)``; NaN for classes without samples, for which recall is undefined."""

    def __init__(self, num_classes: int, validate_args: bool = False) -> None:
        super().__init__(num_classes, average="none", validate_args=validate_args)

    def compute(self) -> Tensor:
        hits, _, _, misses = self._final_state()
        return hits / (hits + misses)


class BalancedAccuracy(ClassRecall):
    """Mean recall over the classes that have samples, as ``sklearn.metrics.balanced_accuracy_score``."""

    def compute(self) -> Tensor:
        return super().compute().nanmean()


class ClassF1(MulticlassF1Score):
    """F1 score of each class, ``(K,)``; NaN for classes that occur in neither targets nor predictions."""

    def __init__(self, num_classes: int, validate_args: bool = False) -> None:
        super().__init__(num_classes, average="none", validate_args=validate_args)

    def compute(self) -> Tensor:
        hits, false_alarms, _, misses = self._final_state()
        return 2 * hits / (2 * hits + false_alarms + misses)


class AreaUnderROC(BinaryAUROC):
    """Area under the ROC curve from two-class probabilities ``(N, 2)``.

    It is NaN unless both classes have samples.
    """

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds[:, 1], target)

    def compute(self) -> Tensor:  # type: ignore[override]  # torchmetrics 1.9 types that of the curve
        targets = dim_zero_cat(self.target)
        if targets.min() == targets.max():
            return torch.tensor(torch.nan, device=targets.device)
        return super().compute()


class AveragePrecision(BinaryAveragePrecision):
    """Area under the precision-recall curve of the second class, from probabilities ``(N, 2)``.

    It is 0 without positives, as in scikit-learn.
    """

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds[:, 1], target)

    def compute(self) -> Tensor:  # type: ignore[override]  # torchmetrics 1.9 types that of the curve
        targets = dim_zero_cat(self.target)
        return super().compute() if targets.any() else torch.zeros((), device=targets.device)


def defined_scores(prefix: str, names: list[str], scores: Tensor) -> dict[str, float]:
    """Returns ``PREFIX/NAME`` → score for the classes whose score is defined.

    Args:
        prefix: name of the score.
        names: class names.
        scores: score of each class, NaN if undefined, ``(K,)``.
    """
    pairs = zip(names, scores.tolist(), strict=True)
    return {f"{prefix}/{name}": score for name, score in pairs if not math.isnan(score)}


BETA = 0.999
"""β of the effective number of samples: a class with n samples counts as (1 − β^n) / (1 − β)."""


def class_weights(
    kind: Literal["balanced", "effective"] | Sequence[float], counts: Sequence[int], power: float = 1.0
) -> Tensor:
    """Computes one weight per class, with a mean of 1 over the training samples.

    Args:
        kind: ``balanced``, the inverse of each class's count; ``effective``, the inverse of its effective
            number (Cui et al. 2019), which grows more slowly than the count; or the weights themselves.
        counts: number of training samples of each class.
        power: exponent applied to the weights: 0 makes all weights 1, 1 leaves them unchanged.

    Raises:
        UserError: the class counts are missing, or the number of weights differs from the number of classes.
    """
    if not len(counts) or not sum(counts):
        raise UserError("task.class_weights: this data set provides no class counts. Remove the setting.")
    numbers = torch.tensor(counts, dtype=torch.float64)
    present = numbers.clamp(min=1)  # classes without training samples do not contribute to the loss
    if kind == "balanced":
        weights = 1 / present
    elif kind == "effective":
        weights = (1 - BETA) / (1 - BETA**present)
    else:
        weights = torch.tensor(list(kind), dtype=torch.float64)
    if len(weights) != len(counts):
        raise UserError(
            f"task.class_weights: {len(weights)} weights for {len(counts)} classes; expected one per class."
        )
    weights = weights**power
    return (weights * numbers.sum() / (weights * numbers).sum()).float()


Score = Literal["f1", "balanced_accuracy", "accuracy"]


def best_threshold(probs: Tensor, targets: Tensor, score: Score) -> float:
    """Finds the threshold with the best score, midway between two samples; ties go to the one nearest 0.5.

    Args:
        probs: probabilities of the positive class, ``(N,)``.
        targets: 0 or 1, ``(N,)``.
        score: the score to maximize.
    """
    order = probs.double().argsort(descending=True)
    probs, targets = probs.double()[order], targets[order].double()
    positives, negatives = targets.sum(), (1 - targets).sum()
    if not positives or not negatives:
        return 0.5
    hits, alarms = (
        targets.cumsum(0),
        (1 - targets).cumsum(0),
    )  # if the first 1, 2, … samples are predicted positive
    scores = {
        "f1": 2 * hits / (hits + alarms + positives),
        "balanced_accuracy": (hits / positives + 1 - alarms / negatives) / 2,
        "accuracy": (hits + negatives - alarms) / len(targets),
    }[score]
    below = torch.cat([probs[1:], torch.zeros(1, dtype=torch.float64)])
    middles = (probs + below) / 2
    scores = scores.masked_fill(probs == below, -1)  # no threshold separates equal probabilities
    best = scores >= scores.max() - 1e-12
    return float(middles[best][(middles[best] - 0.5).abs().argmin()].clamp(1e-6, 1 - 1e-6))


def shifted(probs: Tensor, threshold: float | Tensor) -> Tensor:
    """Rescales probabilities ``(N, 2)`` so that the second is at least 0.5 exactly from the threshold on.

    Args:
        probs: probabilities of both classes.
        threshold: minimum probability for predicting the second class.
    """
    positive = probs[:, 1]
    low, high = 0.5 * positive / threshold, 0.5 + 0.5 * (positive - threshold) / (1 - threshold)
    bent = torch.where(positive >= threshold, high.clamp(min=0.5 + 1e-6), low.clamp(max=0.5 - 1e-6))
    return torch.stack([1 - bent, bent], -1)
