"""Explanations for sequences: attribution to tokens, or to steps of variables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runner.errors import UserError
from runner.explain.explanation import Explanation
from runner.explain.gradients import in_use, integrated_gradients
from runner.explain.layers import used_layers
from runner.explain.occlude import occlude_steps, occlude_vectors
from runner.explain.options import ExplainOptions
from runner.explain.samples import Sample
from runner.explain.targets import ExplanationTarget, ask
from runner.inference.load import Trained
from runner.tasks.classification import ClassificationTask
from runner.tasks.labelling import LabellingTask
from runner.tasks.language import LanguageTask
from runner.tasks.regression import RegressionTask

__all__ = ["StepExplainer", "TokenExplainer", "TokenVectors"]


class TokenVectors:
    """Converts a score of token ids to a function of their embedding vectors.

    Args:
        model: model that embeds its tokens with an ``nn.Embedding``.
        score: ids ``(N, T)`` → ``(N,)``.
        ids: ``(1, T)``.

    Raises:
        UserError: no embedding of the model receives the ids.
    """

    def __init__(self, model: nn.Module, score: Callable[[Tensor], Tensor], ids: Tensor) -> None:
        self.score = score
        self.ids = ids
        self.table = table_of(model, score, ids)
        with torch.no_grad():
            self.vectors = self.table(ids)

    def __call__(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """Computes the score with vectors ``(N, T, D)`` instead of those of ``ids`` ``(N, T)``, which mark
        the padding.
        """

        def put(module: nn.Module, given: tuple[Tensor, ...], outputs: Tensor) -> Tensor:
            return (
                vectors if same(given[0], ids) else outputs
            )  # the embedding may also be used for output tokens

        hook = self.table.register_forward_hook(put)
        try:
            return self.score(ids)
        finally:
            hook.remove()


def same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)


def table_of(model: nn.Module, score: Callable[[Tensor], Tensor], ids: Tensor) -> nn.Embedding:
    found: list[nn.Embedding] = []

    def look(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if same(given[0], ids):
            found.append(module)

    hooks = [
        module.register_forward_pre_hook(look)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
    ]
    try:
        with torch.no_grad():
            score(ids)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise UserError(
            f"{type(model).__name__} has no torch.nn.Embedding for its tokens, so they cannot be attributed "
            "separately."
        )
    return found[0]


class SequenceExplainer:
    """Base class for tokens and numeric steps."""

    methods = ("integrated_gradients", "occlusion")
    baseline = ""

    def __init__(self, trained: Trained, wish: ExplainOptions) -> None:
        self.task, self.data, self.wish = trained.task, trained.data, wish
        self.model = self.task.model
        self.layers: list[str] = []
        self.method = wish.method or self.methods[0]

    def prepare(self, sample: Sample) -> Tensor:
        inputs = self.data.batch_inputs([sample.raw]).to(self.task.device)
        return self.data.on_after_batch_transfer({"inputs": inputs}, 0)["inputs"]

    def ask(self, inputs: Tensor) -> list[ExplanationTarget]:
        return ask(self.task, self.task, inputs, self.wish, self.data)

    def explain(self, sample: Sample) -> list[Explanation]:
        found = []
        with in_use(self.model):
            inputs = self.prepare(sample)
            for asked in self.ask(inputs):
                one = Explanation(
                    sample, asked, None, self.truth_of(sample, asked), parts=self.parts_of(sample)
                )
                with torch.no_grad():
                    one.score = float(asked.score(inputs)[0])
                one.values = self.attribute(asked, inputs, one).cpu().float().numpy()
                found.append(one)
        return found

    def again(self, found: Explanation) -> np.ndarray:
        with in_use(self.model):
            inputs = self.prepare(found.sample)
            return self.attribute(found.asked, inputs, replace(found)).cpu().float().numpy()

    def layer_names(self, sample: Sample) -> list[str]:
        with in_use(self.model):
            inputs = self.prepare(sample)
            return used_layers(self.model, self.ask(inputs)[0].score, inputs)


class TokenExplainer(SequenceExplainer):
    """Texts and other sequences of token ids, ``(T,)``."""

    kind = "texts"

    def attribute(self, asked: ExplanationTarget, ids: Tensor, found: Explanation) -> Tensor:
        """Computes the attribution of each token, ``(T,)``, in the unit of the score."""
        score = TokenVectors(self.model, asked.score, ids)
        if self.method == "occlusion":
            return occlude_vectors(score, score.vectors, ids)
        self.baseline = "tokens that stand for nothing (zeros)"
        baseline = torch.zeros_like(score.vectors)
        integrated = integrated_gradients(score, score.vectors, baseline, self.wish.steps, ids)
        found.baseline_score, found.error = integrated.baseline_score, integrated.error
        return integrated.values[0].sum(-1)

    def parts_of(self, sample: Sample) -> list[str]:
        return [self.data.tokenizer.token(number) for number in sample.raw.tolist()]

    def truth_of(self, sample: Sample, asked: ExplanationTarget) -> str:
        if sample.target is None:
            return ""
        if isinstance(self.task, LanguageTask):
            return repr(self.data.tokenizer.token(int(sample.target[-1])))
        if isinstance(self.task, LabellingTask):
            return self.task.class_names[int(sample.target[asked.details["step"] - 1])]
        if isinstance(self.task, ClassificationTask):
            return self.task.class_names[int(sample.target)]
        return words_of(sample.target)


class StepExplainer(SequenceExplainer):
    """Sequences of numbers, ``(T, F)``."""

    kind = "series"

    def prepare(self, sample: Sample) -> Tensor:
        """Removes padding steps."""
        inputs = super().prepare(sample)
        there = ~inputs.isnan().all(-1)[0]
        return inputs[:, there]

    def attribute(self, asked: ExplanationTarget, inputs: Tensor, found: Explanation) -> Tensor:
        """Computes the attribution of each step and variable, ``(T, F)``, in the unit of the score."""
        self.baseline = "the mean of the training steps"
        baseline = torch.zeros_like(inputs)
        if self.method == "occlusion":
            return occlude_steps(asked.score, inputs, baseline)
        integrated = integrated_gradients(asked.score, inputs, baseline, self.wish.steps)
        found.baseline_score, found.error = integrated.baseline_score, integrated.error
        return integrated.values[0]

    def parts_of(self, sample: Sample) -> list[str]:
        names = list(getattr(self.data, "names", ()))
        return names or [f"feature {number + 1}" for number in range(sample.raw.shape[-1])]

    def truth_of(self, sample: Sample, asked: ExplanationTarget) -> str:
        if sample.target is None:
            return ""
        if isinstance(self.task, ClassificationTask):
            return self.task.class_names[int(sample.target)]
        if isinstance(self.task, RegressionTask):
            return words_of(sample.target)
        column = asked.details["place"]
        wanted = slice(None) if self.wish.step is None else slice(self.wish.step - 1, self.wish.step)
        return f"{float(np.nanmean(sample.target[wanted, column].numpy())):.4g}"


def words_of(target: Any) -> str:
    return ", ".join(f"{value:.4g}" for value in torch.as_tensor(target).flatten().tolist())
