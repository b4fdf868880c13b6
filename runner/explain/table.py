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
from runner.explain.explanation import Attribution, Explainer
from runner.explain.gradients import in_use, integrated_gradients
from runner.explain.options import ExplainOptions
from runner.explain.samples import Sample
from runner.inference.load import Trained
from runner.tasks.explanation import ExplanationTarget

__all__ = ["Importance", "RowExplainer", "permutation_importance"]


@dataclass
class Importance:
    """Permutation importance of the columns of a table.

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
        inputs: features, ``(N, F)``.
        columns: name of the column that each of the F features is derived from.
        metric: name of the quality.
        repeats: number of permutations of each column.
        seed: seed of the permutations.
    """
    names = list(dict.fromkeys(columns))
    groups = torch.tensor([[names.index(column) for column in columns]], device=inputs.device)
    first = [list(columns).index(name) for name in names]
    losses = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        score = float(quality(inputs))
        for _ in range(repeats):
            values = FeaturePermutation(quality, permute).attribute(inputs, feature_mask=groups)
            losses.append(values[0, first].double().cpu().numpy())
    return Importance(names, np.mean(losses, 0), np.std(losses, 0), metric, score, len(inputs))


def permute(inputs: Tensor, mask: Tensor) -> Tensor:
    """Shuffles the features in ``mask`` ``(1, F)`` with a common permutation of rows.

    It is drawn on the CPU, so that it is the same on every device.
    """
    order = torch.randperm(len(inputs)).to(inputs.device)
    return torch.where(mask, inputs[order], inputs)


MAX_ROWS = 10_000
"""Maximum number of rows for permutation importance."""


class RowExplainer(Explainer):
    """Rows of a table ``(F,)``, attributed to the columns that their features are derived from.

    Args:
        trained: task and data module of the run.
        options: the default method is permutation importance for a split, and integrated gradients for given
            inputs.
        given: whether the inputs are new rows without targets.

    Raises:
        UserError: the method requires targets that are not available, or an option has no effect.
    """

    kind = "rows of a table"
    methods = ("permutation", "integrated_gradients")

    def __init__(self, trained: Trained, options: ExplainOptions, given: bool) -> None:
        super().__init__(trained, options)
        self.features: list[tuple[str, str]] = trained.data.features()
        self.columns = [column for _, column in self.features]
        self.names = list(dict.fromkeys(self.columns))
        self.method = options.method or self.methods[given]
        if self.method != "permutation":
            return
        if given:
            raise UserError(
                "permutation importance is measured on rows whose truth is known: leave INPUT out and name a "
                "split with --split, or take --method integrated_gradients."
            )
        self.metric, self.quality = self.task.permutation_quality(options.target)

    def attribute(self, target: ExplanationTarget, inputs: Tensor) -> Attribution:
        """Computes integrated gradients from zeros, the mean of standardized columns and no category."""
        self.baseline = "the mean of the training rows, and no category"
        baseline = torch.zeros_like(inputs)
        integrated = integrated_gradients(target.score, inputs, baseline, self.options.steps)
        values = self.by_column(integrated.values[0].cpu().numpy())
        return Attribution(values, integrated.baseline_score, integrated.error)

    def by_column(self, values: np.ndarray) -> np.ndarray:
        """Sums the attributions of all features of each column: ``(F,)`` → ``(columns,)``."""
        summed = np.zeros(len(self.names))
        np.add.at(summed, [self.names.index(column) for column in self.columns], values)
        return summed

    def parts_of(self, sample: Sample) -> list[str]:
        return self.names

    def cells_of(self, sample: Sample) -> list[str]:
        """Returns the content of each column: a number or a category."""
        cells: dict[str, str] = {}
        for (name, column), value in zip(self.features, sample.raw.tolist(), strict=True):
            if name == column:
                cells[column] = f"{value:.4g}"
            elif name == f"{column} is missing":
                cells[column] = "(missing)" if value else cells[column]
            elif value:
                cells[column] = name.removeprefix(f"{column}=")
        return [cells.get(name, "(unknown)") for name in self.names]

    def importance(self, split: Any) -> Importance:
        """Computes permutation importance on a split, as the decrease of the task's quality."""
        inputs, targets = load_rows(split)
        targets = targets.to(self.task.device)
        batch = self.data.on_after_batch_transfer({"inputs": inputs.to(self.task.device)}, 0)
        with in_use(self.model):
            return permutation_importance(
                lambda features: self.quality(features, targets),
                batch["inputs"],
                self.columns,
                self.metric,
                self.options.repeats,
                self.options.seed,
            )


def load_rows(split: Any) -> tuple[Tensor, Tensor]:
    """Loads features ``(N, F)`` and targets of a split, evenly subsampled if it is large."""
    count = min(len(split), MAX_ROWS)
    positions = torch.linspace(0, len(split) - 1, count).round().long().tolist()
    batch = split.__getitems__([(0, position) for position in positions])
    return batch["inputs"], batch["targets"]
