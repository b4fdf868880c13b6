"""Explanations for tables: attributions to columns, and permutation importance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from captum.attr import FeaturePermutation
from torch import Tensor

from runner.errors import UserError
from runner.explain.explanation import Explanation
from runner.explain.gradients import Integrated, in_use, integrated_gradients
from runner.explain.layers import used_layers
from runner.explain.options import ExplainOptions
from runner.explain.samples import Sample
from runner.explain.sequence import words_of
from runner.explain.targets import ExplanationTarget, ask, number_of
from runner.inference.load import Trained
from runner.tasks.classification import ClassificationTask
from runner.tasks.regression import RegressionTask

__all__ = ["Importance", "RowExplainer", "permutation_importance"]


@dataclass
class Importance:
    """
    Attributes:
        names: names of the columns.
        mean, std: decrease of quality over the repeats, each ``(columns,)``.
        metric: name of the quality metric.
        score: the quality without shuffling.
        num_samples: number of evaluated rows.
    """

    names: list[str]
    mean: np.ndarray
    std: np.ndarray
    metric: str
    score: float
    num_samples: int


def permutation_importance(
    quality: Callable[[Tensor], Tensor],
    inputs: Tensor,
    columns: Sequence[str],
    metric: str,
    repeats: int = 10,
    seed: int = 0,
) -> Importance:
    """Breiman, Random forests, Machine Learning, 2001. All features of one column are permuted together.

    Args:
        quality: maps features ``(N, F)`` to one number; higher is better.
        columns: index of the column that each of the F features is derived from.
    """
    names = list(dict.fromkeys(columns))
    groups = torch.tensor([[names.index(column) for column in columns]], device=inputs.device)
    places = [list(columns).index(name) for name in names]
    losses = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        score = float(quality(inputs))
        for _ in range(repeats):
            values = FeaturePermutation(quality, permute).attribute(inputs, feature_mask=groups)
            losses.append(values[0, places].double().cpu().numpy())
    return Importance(names, np.mean(losses, 0), np.std(losses, 0), metric, score, len(inputs))


def permute(inputs: Tensor, mask: Tensor) -> Tensor:
    """Shuffles the features in ``mask`` ``(1, F)`` with a common permutation of rows, drawn on the CPU so
    that it is the same on every device.
    """
    order = torch.randperm(len(inputs)).to(inputs.device)
    return torch.where(mask, inputs[order], inputs)


MAX_ROWS = 10_000
"""Maximum number of rows for permutation importance."""


class RowExplainer:
    """
    Args:
        wish: options; the default method is permutation importance for a split, and integrated gradients for
            given inputs.
        given: whether the inputs are new rows without targets.

    Raises:
        UserError: the method requires targets that are not available.
    """

    kind = "rows of a table"
    methods = ("permutation", "integrated_gradients")

    def __init__(self, trained: Trained, wish: ExplainOptions, given: bool) -> None:
        self.task, self.data, self.wish = trained.task, trained.data, wish
        self.model = self.task.model
        self.features: list[tuple[str, str]] = trained.data.features()
        self.columns = [column for _, column in self.features]
        self.names = list(dict.fromkeys(self.columns))
        self.layers: list[str] = []
        self.baseline = ""
        self.method = wish.method or self.methods[given]
        if given and self.method == "permutation":
            raise UserError(
                "permutation importance is measured on rows whose truth is known: leave INPUT out and name "
                "a split with "
                "--split, or take --method integrated_gradients."
            )
        if (
            self.method == "permutation"
            and wish.target is not None
            and not isinstance(self.task, RegressionTask)
        ):
            raise UserError(
                "--target would have no effect: permutation importance is measured on all classes."
            )

    def prepare(self, sample: Sample) -> Tensor:
        inputs = self.data.batch_inputs([sample.raw]).to(self.task.device)
        return self.data.on_after_batch_transfer({"inputs": inputs}, 0)["inputs"]

    def explain(self, sample: Sample) -> list[Explanation]:
        """Integrated gradients from the mean row of the training split."""
        with in_use(self.model):
            inputs = self.prepare(sample)
            (asked,) = ask(self.task, self.task, inputs, self.wish, self.data)
            integrated = self.integrate(asked, inputs)
        return [
            Explanation(
                sample,
                asked,
                self.by_column(integrated),
                self.truth_of(sample),
                integrated.score,
                integrated.baseline_score,
                integrated.error,
                self.names,
                self.cells_of(sample.raw),
            )  # fmt: skip
        ]

    def again(self, found: Explanation) -> np.ndarray:
        with in_use(self.model):
            return self.by_column(self.integrate(found.asked, self.prepare(found.sample)))

    def integrate(self, asked: ExplanationTarget, inputs: Tensor) -> Integrated:
        """Computes integrated gradients from zeros, the mean of standardized columns and no category."""
        self.baseline = "the mean of the training rows, and no category"
        return integrated_gradients(asked.score, inputs, torch.zeros_like(inputs), self.wish.steps)

    def by_column(self, integrated: Integrated) -> np.ndarray:
        """Sums the attributions of all features of each column, ``(columns,)``."""
        summed = np.zeros(len(self.names))
        values = integrated.values[0].cpu().numpy()
        np.add.at(summed, [self.names.index(column) for column in self.columns], values)
        return summed

    def cells_of(self, raw: Tensor) -> list[str]:
        """Returns the content of each column: a number or a category."""
        cells: dict[str, str] = {}
        for (name, column), value in zip(self.features, raw.tolist(), strict=True):
            if name == column:
                cells[column] = f"{value:.4g}"
            elif name == f"{column} is missing":
                cells[column] = "(missing)" if value else cells[column]
            elif value:
                cells[column] = name.removeprefix(f"{column}=")
        return [cells.get(name, "(unknown)") for name in self.names]

    def importance(self, part: Any) -> Importance:
        """Computes permutation importance on a split as the decrease of accuracy or R²."""
        inputs, targets = rows_of(part)
        device = self.task.device
        inputs = self.data.on_after_batch_transfer({"inputs": inputs.to(device)}, 0)["inputs"]
        metric, quality = quality_of(self.task, targets.to(device), self.target_number())
        with in_use(self.model):
            return permutation_importance(
                quality, inputs, self.columns, metric, self.wish.repeats, self.wish.seed
            )

    def target_number(self) -> int | None:
        return (
            None
            if self.wish.target is None
            else number_of(self.wish.target, self.task.target_names, "target")
        )

    def layer_names(self, sample: Sample) -> list[str]:
        with in_use(self.model):
            inputs = self.prepare(sample)
            (asked,) = ask(self.task, self.task, inputs, self.wish, self.data)
            return used_layers(self.model, asked.score, inputs)

    def truth_of(self, sample: Sample) -> str:
        if sample.target is None:
            return ""
        if isinstance(self.task, ClassificationTask):
            return self.task.class_names[int(sample.target)]
        return words_of(sample.target)


def rows_of(part: Any) -> tuple[Tensor, Tensor]:
    """Loads features ``(N, F)`` and targets of a split, evenly subsampled if it is large."""
    count = min(len(part), MAX_ROWS)
    places = torch.linspace(0, len(part) - 1, count).round().long().tolist()
    batch = part.__getitems__([(0, place) for place in places])
    return batch["inputs"], batch["targets"]


def quality_of(task: Any, targets: Tensor, number: int | None) -> tuple[str, Callable[[Tensor], Tensor]]:
    """Computes the accuracy for classification and the mean R² over targets for regression."""
    if isinstance(task, ClassificationTask):
        return "accuracy", lambda inputs: (task.decide(task(inputs)) == targets).double().mean()
    wanted = targets.double().reshape(len(targets), -1)
    spread = ((wanted - wanted.mean(0)) ** 2).sum(0).clamp(min=1e-12)

    def r2(inputs: Tensor) -> Tensor:
        preds = task.to_unit(task(inputs).float().reshape(len(inputs), -1)).double()
        each = 1 - ((preds - wanted) ** 2).sum(0) / spread
        return each.mean() if number is None else each[number]

    return "R²", r2
