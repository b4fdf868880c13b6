"""Scores as functions of token embeddings, which can be scaled and covered."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from runner.errors import UserError

__all__ = ["TokenVectors"]


class TokenVectors:
    """Converts a score of token ids to a function of their embedding vectors.

    Args:
        model: model that embeds its tokens with an ``nn.Embedding``.
        score: ids ``(N, T)`` → ``(N,)``.
        ids: ``(1, T)``.

    Raises:
        UserError: no embedding of the model receives the ids.
    """

    def __init__(self, model: nn.Module, score: Callable[[Tensor], Tensor], ids: Tensor):
        self.score = score
        self.ids = ids
        self.table = table_of(model, score, ids)
        with torch.no_grad():
            self.vectors = self.table(ids)

    def __call__(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """Computes the score with vectors ``(N, T, D)`` instead of those of ``ids`` ``(N, T)``, which mark the padding."""

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
            f"{type(model).__name__} has no torch.nn.Embedding for its tokens, so they cannot be attributed separately."
        )
    return found[0]
