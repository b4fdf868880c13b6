"""Results of explanations, and the base class of explainers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from runner.explain.gradients import in_use
from runner.explain.layers import used_layers
from runner.explain.options import ExplainOptions
from runner.explain.samples import Sample
from runner.inference.load import Trained
from runner.tasks.explanation import ExplanationRequest, ExplanationTarget

__all__ = ["Attribution", "Explainer", "Explanation"]


@dataclass
class Attribution:
    """Attribution of one number to the parts of an input.

    Attributes:
        values: attribution of pixels ``(H, W)``, tokens ``(T,)``, steps and variables ``(T, F)``, or columns
            ``(F,)``.
        baseline_score: score of the baseline, for integrated gradients.
        error: deviation of the sum of values from the difference of the scores.
    """

    values: np.ndarray
    baseline_score: float | None = None
    error: float | None = None


@dataclass
class Explanation:
    """Explanation of one number of a model's prediction.

    Attributes:
        sample: the input.
        target: the explained number.
        attribution: its attribution to the parts of the input.
        score: value of the explained number.
        parts: names of the tokens, variables or columns that the values belong to.
        cells: content of each column.
    """

    sample: Sample
    target: ExplanationTarget
    attribution: Attribution
    score: float | None = None
    parts: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)

    @property
    def values(self) -> np.ndarray:
        """The attributed values; see ``Attribution``."""
        return self.attribution.values

    def as_row(self) -> dict[str, Any]:
        """Converts to plain values for a table or a file, without the attribution itself."""
        target = self.target
        row = {
            "input": self.sample.name,
            "said": target.prediction,
            "truth": target.truth or None,
            "target": target.name,
            "step": target.step,
            "probability": target.probability,
            "box": target.box,
            "score": self.score,
            "baseline_score": self.attribution.baseline_score,
            "completeness_error": self.attribution.error,
        }
        return {key: value for key, value in row.items() if value is not None}


class Explainer(ABC):
    """Explains predictions for inputs of one kind; the task defines which numbers are explained.

    Args:
        trained: task and data module of the run.
        options: method, requested target, and settings of the method.

    Attributes:
        kind: name of the kind of inputs, for messages.
        methods: the available methods; the first is the default.
        model: the model whose layers are used.
        forward: maps model inputs to the model's outputs.
        method: the selected method.
        baseline: description of the baseline; empty if the method has none.
        layers: names of the layers whose feature maps are used, if the method uses any.
    """

    kind: ClassVar[str]
    methods: ClassVar[tuple[str, ...]]

    def __init__(self, trained: Trained, options: ExplainOptions) -> None:
        self.task, self.data, self.options = trained.task, trained.data, options
        self.model = self.task.model
        self.forward: Callable[[Tensor], Any] = self.task
        self.method = options.method or self.methods[0]
        self.layers: list[str] = []
        self.baseline = ""

    @abstractmethod
    def attribute(self, target: ExplanationTarget, inputs: Tensor) -> Attribution:
        """Computes the attribution of a target to the parts of model inputs ``(1, …)``."""

    def parts_of(self, sample: Sample) -> list[str]:
        """Returns the names of the parts of an input; empty if they have none."""
        return []

    def cells_of(self, sample: Sample) -> list[str]:
        """Returns the content of the parts of an input, if it is not their name."""
        return []

    def prepare(self, sample: Sample) -> Tensor:
        """Returns the model input, ``(1, …)``, on the device."""
        inputs = self.data.batch_inputs([sample.raw]).to(self.task.device)
        return self.data.on_after_batch_transfer({"inputs": inputs}, 0)["inputs"]

    def targets(self, inputs: Tensor, truth: Any = None) -> list[ExplanationTarget]:
        """Returns the numbers to explain; none if the prediction does not contain the requested target.

        Args:
            inputs: model input, ``(1, …)``.
            truth: the true target, if known.
        """
        request = ExplanationRequest(
            inputs, self.forward, self.data, self.options.target, self.options.step, truth
        )
        return self.task.explanation_targets(request)

    def explain(self, sample: Sample) -> list[Explanation]:
        """Explains the prediction for one sample.

        Args:
            sample: the input.

        Returns:
            One explanation for each target of the task; none if the prediction does not contain the
            requested target.
        """
        with in_use(self.model):
            inputs = self.prepare(sample)
            targets = self.targets(inputs, sample.target)
            return [self.explain_target(sample, target, inputs) for target in targets]

    def explain_target(self, sample: Sample, target: ExplanationTarget, inputs: Tensor) -> Explanation:
        """Explains one target of a prediction; the model must be prepared by ``in_use``."""
        with torch.no_grad():
            score = float(target.score(inputs)[0])
        attribution = self.attribute(target, inputs)
        return Explanation(sample, target, attribution, score, self.parts_of(sample), self.cells_of(sample))

    def recompute(self, explanation: Explanation) -> np.ndarray:
        """Returns the attributed values of an explanation for the model in its current state."""
        with in_use(self.model):
            return self.attribute(explanation.target, self.prepare(explanation.sample)).values

    def layer_names(self, sample: Sample) -> list[str]:
        """Lists the modules with parameters in the order of execution."""
        with in_use(self.model):
            inputs = self.prepare(sample)
            return used_layers(self.model, self.targets(inputs)[0].score, inputs)
