"""Explanations for sequences: attribution to tokens, or to steps of variables."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from runner.errors import UserError
from runner.explain.explanation import Attribution, Explainer
from runner.explain.gradients import integrated_gradients
from runner.explain.occlude import occlude_steps, occlude_vectors
from runner.explain.samples import Sample
from runner.tasks.explanation import ExplanationTarget

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
        self.table = embedding_of(model, score, ids)
        with torch.no_grad():
            self.vectors = self.table(ids)

    def __call__(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """Computes the score ``(N,)`` with the given vectors instead of those of the ids.

        Args:
            vectors: ``(N, T, D)``.
            ids: ``(N, T)``, which mark the padding.
        """

        def replace(module: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> Tensor:
            # The embedding may also be used for output tokens.
            return vectors if is_same(inputs[0], ids) else outputs

        hook = self.table.register_forward_hook(replace)
        try:
            return self.score(ids)
        finally:
            hook.remove()


def is_same(first: Tensor, second: Tensor) -> bool:
    """Returns whether two tensors have the same shape and values."""
    return first.shape == second.shape and torch.equal(first, second)


def embedding_of(model: nn.Module, score: Callable[[Tensor], Tensor], ids: Tensor) -> nn.Embedding:
    """Returns the embedding that receives the ids when their score is computed.

    Raises:
        UserError: no embedding receives them.
    """
    matches: list[nn.Embedding] = []

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.Embedding) and is_same(inputs[0], ids):
            matches.append(module)

    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    hooks = [table.register_forward_pre_hook(record) for table in tables]
    try:
        with torch.no_grad():
            score(ids)
    finally:
        for hook in hooks:
            hook.remove()
    if not matches:
        raise UserError(
            f"{type(model).__name__} has no torch.nn.Embedding for its tokens, so they cannot be attributed "
            "separately."
        )
    return matches[0]


class TokenExplainer(Explainer):
    """Texts and other sequences of token ids, ``(T,)``."""

    kind = "texts"
    methods = ("integrated_gradients", "occlusion")

    def attribute(self, target: ExplanationTarget, inputs: Tensor) -> Attribution:
        """Computes the attribution of each token, ``(T,)``, in the unit of the score."""
        score = TokenVectors(self.model, target.score, inputs)
        if self.method == "occlusion":
            return Attribution(occlude_vectors(score, score.vectors, inputs).cpu().float().numpy())
        self.baseline = "tokens that stand for nothing (zeros)"
        baseline = torch.zeros_like(score.vectors)
        integrated = integrated_gradients(score, score.vectors, baseline, self.options.steps, inputs)
        values = integrated.values[0].sum(-1).cpu().float().numpy()
        return Attribution(values, integrated.baseline_score, integrated.error)

    def parts_of(self, sample: Sample) -> list[str]:
        return self.task.explained_tokens(sample.raw.tolist(), self.data)


class StepExplainer(Explainer):
    """Sequences of numbers, ``(T, F)``."""

    kind = "series"
    methods = ("integrated_gradients", "occlusion")

    def prepare(self, sample: Sample) -> Tensor:
        """Removes padding steps."""
        inputs = super().prepare(sample)
        is_step = ~inputs.isnan().all(-1)[0]
        return inputs[:, is_step]

    def attribute(self, target: ExplanationTarget, inputs: Tensor) -> Attribution:
        """Computes the attribution of each step and variable, ``(T, F)``, in the unit of the score."""
        self.baseline = "the mean of the training steps"
        baseline = torch.zeros_like(inputs)
        if self.method == "occlusion":
            return Attribution(occlude_steps(target.score, inputs, baseline).cpu().float().numpy())
        integrated = integrated_gradients(target.score, inputs, baseline, self.options.steps)
        values = integrated.values[0].cpu().float().numpy()
        return Attribution(values, integrated.baseline_score, integrated.error)

    def parts_of(self, sample: Sample) -> list[str]:
        names = list(getattr(self.data, "names", ()))  # only data modules of series name their columns
        return names or [f"feature {number + 1}" for number in range(sample.raw.shape[-1])]
