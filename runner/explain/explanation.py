"""What comes out of an explanation."""

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
    """One number of a model's answer to one input, divided among the input's parts.

    Attributes:
        values: of pixels ``(H, W)``, tokens ``(T,)``, steps and variables ``(T, F)``, or columns ``(F,)``.
        truth: in words; empty if unknown.
        score: the number that is explained.
        baseline_score: the same of the baseline, with integrated gradients.
        error: by how much the values fail to add up to the difference.
        parts: names of what the values belong to: tokens or columns.
        cells: what stands in each column.
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
        """Plain values for a table or a file, without the attribution itself."""
        row: dict[str, Any] = {"input": self.sample.name, "said": self.asked.said}
        if self.truth:
            row["truth"] = self.truth
        row["target"] = self.asked.target
        row |= {key: value for key, value in self.asked.details.items() if key in ("step", "probability", "box")}
        row |= {"score": self.score, "baseline_score": self.baseline_score, "completeness_error": self.error}
        return {key: value for key, value in row.items() if value is not None}


class Explainer(Protocol):
    """Explanations of inputs of one kind.

    Attributes:
        kind: what the inputs are, for messages.
        methods: the available ones; the first is the default.
        model: whose layers are used.
        method: the chosen one.
        baseline: in words, what inputs are compared with; empty where they are with nothing.
        layers: whose maps are taken, where the method takes any.
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
            None where the answer does not hold what is asked about; several of an answer with several parts.
        """
        ...

    def again(self, found: Explanation) -> np.ndarray:
        """The attribution values of the model in its current state."""
        ...

    def layer_names(self, sample: Sample) -> list[str]:
        """Modules with parameters, in the order of their use."""
        ...
