"""Optimizers of timm, selected by name."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Annotated, Any

from annotated_types import Ge
from timm.optim import get_optimizer_class, list_optimizers
from torch.optim import Optimizer

from runner.errors import UserError

__all__ = ["timm_optimizer"]


def timm_optimizer(
    params: Any,
    name: str,
    lr: Annotated[float, Ge(0)],
    weight_decay: Annotated[float, Ge(0)] = 0.0,
    options: dict[str, Any] | None = None,
) -> Optimizer:
    """Creates an optimizer that torch may lack, such as ``adan``, ``adopt``, ``mars`` or ``lars``.

    Args:
        params: parameters, or groups of them.
        name: a name listed by ``timm.optim.list_optimizers()``.
        lr: learning rate.
        weight_decay: weight decay of groups that do not set their own.
        options: additional arguments of the optimizer, by name.

    Raises:
        UserError: the optimizer does not exist (the message lists similar names) or rejects these arguments.
    """
    if name not in list_optimizers():
        near = get_close_matches(name, [str(each) for each in list_optimizers()], n=3)
        hint = f" Nearest: {', '.join(near)}." if near else ""
        raise UserError(f"timm has no optimizer {name!r}.{hint} All of them: timm.optim.list_optimizers().")
    try:
        constructor: Callable[..., Optimizer] = get_optimizer_class(name)
        made = constructor(params, lr=lr, weight_decay=weight_decay, **(options or {}))
    except (TypeError, ValueError, AssertionError, RuntimeError, ImportError) as error:
        raise UserError(f"timm's optimizer {name!r} cannot be built: {error}") from error
    return made
