"""Results of explanations and the interface of explainers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import nn

from runner.explain.samples import Sample
from runner.explain.targets import ExplanationTarget

__all__ = ["Explainer", "Explanation"]


@dataclass
class Explanation:
    """Attribution of one number of a model's prediction to the parts of its input.

    Attributes:
        values: attribution of pixels ``(H, W)``, tokens ``(T,)``, steps and variables ``(T, F)``, or columns
            ``(F,)``.
        truth: the true target as text; empty if unknown.
        score: the number that is explained.
        baseline_score: score of the baseline, for integrated gradients.
        error: deviation of the sum of values from the difference of the scores.
        parts: names of the tokens or columns that the values belong to.
        cells: content of each column.
    """

    sample: Sample
    asked: ExplanationTarget
    values: np.ndarray
    truth: str = ""
    score: float | None = None
    baseline_score: float | None = None
    error: float | None = None
    parts: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)

    def as_row(self) -> dict[str, Any]:
        """Converts to plain values for a table or a file, without the attribution itself."""
        row: dict[str, Any] = {"input": self.sample.name, "said": self.asked.said}
        if self.truth:
            row["truth"] = self.truth
        row["target"] = self.asked.target
        row |= {
            key: value for key, value in self.asked.details.items() if key in ("step", "probability", "box")
        }
        row |= {"score": self.score, "baseline_score": self.baseline_score, "completeness_error": self.error}
        return {key: value for key, value in row.items() if value is not None}


class Explainer(Protocol):
    """Explainer for inputs of one kind.

    Attributes:
        kind: name of the kind of inputs, for messages.
        methods: the available methods; the first is the default.
        model: the model whose layers are used.
        method: the selected method.
        baseline: description of the baseline; empty if the method has none.
        layers: names of the layers whose feature maps are used, if the method uses any.
    """

    kind: str
    methods: tuple[str, ...]
    model: nn.Module
    method: str
    baseline: str
    layers: list[str]

    def explain(self, sample: Sample) -> list[Explanation]:
        """
        Returns:
            None if the prediction does not contain the requested target; several explanations for a
            prediction with several parts.
        """
        ...

    def again(self, found: Explanation) -> np.ndarray:
        """Computes the attribution values for the model in its current state."""
        ...

    def layer_names(self, sample: Sample) -> list[str]:
        """Lists modules with parameters in the order of execution."""
        ...
