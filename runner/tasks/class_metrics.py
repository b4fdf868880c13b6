"""Per-class metrics that handle classes without samples as scikit-learn does."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.classification import (
    BinaryAUROC,
    BinaryAveragePrecision,
    MulticlassF1Score,
    MulticlassRecall,
)
from torchmetrics.utilities.data import dim_zero_cat

__all__ = ["AreaUnderROC", "AveragePrecision", "BalancedAccuracy", "ClassF1", "ClassRecall", "defined_scores"]


class ClassRecall(MulticlassRecall):
    """Recall of each class, ``(K,)``; NaN for classes without samples, for which recall is undefined."""

    def __init__(self, num_classes: int, validate_args: bool = False):
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

    def __init__(self, num_classes: int, validate_args: bool = False):
        super().__init__(num_classes, average="none", validate_args=validate_args)

    def compute(self) -> Tensor:
        hits, false_alarms, _, misses = self._final_state()
        return 2 * hits / (2 * hits + false_alarms + misses)


class AreaUnderROC(BinaryAUROC):
    """Area under the ROC curve from two-class probabilities ``(N, 2)``; NaN unless both classes have samples."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds[:, 1], target)

    def compute(self) -> Tensor:
        targets = dim_zero_cat(self.target)
        if targets.min() == targets.max():
            return torch.tensor(torch.nan, device=targets.device)
        return super().compute()


class AveragePrecision(BinaryAveragePrecision):
    """Area under the precision-recall curve of the second class, from probabilities ``(N, 2)``; 0 without positives,
    as in scikit-learn."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds[:, 1], target)

    def compute(self) -> Tensor:
        targets = dim_zero_cat(self.target)
        return super().compute() if targets.any() else torch.zeros((), device=targets.device)


def defined_scores(prefix: str, names: list[str], scores: Tensor) -> dict[str, float]:
    """Returns ``PREFIX/NAME`` → score for the classes whose score is defined."""
    pairs = zip(names, scores.tolist(), strict=True)
    return {f"{prefix}/{name}": score for name, score in pairs if score == score}
