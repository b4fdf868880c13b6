"""Tokens as the vectors that stand for them: what can be scaled and covered."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from runner.errors import UserError

__all__ = ["TokenVectors"]


class TokenVectors:
    """A score of token ids as a function of their vectors.

    Args:
        model: looks its tokens up in an ``nn.Embedding``.
        score: ids ``(N, T)`` → ``(N,)``.
        ids: ``(1, T)``.

    Raises:
        UserError: no embedding of the model gets the ids.
    """

    def __init__(self, model: nn.Module, score: Callable[[Tensor], Tensor], ids: Tensor):
        self.score = score
        self.ids = ids
        self.table = table_of(model, score, ids)
        with torch.no_grad():
            self.vectors = self.table(ids)

    def __call__(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """``(N, T, D)`` instead of the vectors of ``ids`` ``(N, T)``, which still mark the padding."""

        def put(module: nn.Module, given: tuple[Tensor, ...], outputs: Tensor) -> Tensor:
            return vectors if same(given[0], ids) else outputs  # it may stand for the tokens of an answer, too

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
        module.register_forward_pre_hook(look) for module in model.modules() if isinstance(module, nn.Embedding)
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
