"""The outputs that ``compute_loss`` must return for the rest of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from runner.errors import UserError

__all__ = ["check_loss", "check_outputs"]


def check_loss(name: str, loss: Any) -> None:
    """Checks that a loss is a tensor with one number.

    Args:
        name: class of the task, for the message.
        loss: the returned loss.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        returned = (
            f"of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"in a {type(loss).__name__}"
        )
        raise UserError(f"{name}.compute_loss returned a loss {returned}; expected a tensor with one number.")


def check_outputs(name: str, outputs: Mapping[str, Any], required: Mapping[str, str]) -> None:
    """Checks that all required outputs exist.

    Args:
        name: class of the task, for the message.
        outputs: the returned outputs.
        required: names of the required outputs, with a description of each.

    Raises:
        UserError: outputs are missing; the message names them.
    """
    missing = [f"outputs[{key!r}] ({required[key]})" for key in required if key not in outputs]
    if missing:
        raise UserError(
            f"{name}.compute_loss did not return {' and '.join(missing)}. It returned "
            f"{', '.join(map(repr, outputs)) or 'no outputs'}. Add the missing ones, or override "
            "required_outputs and the methods that use them."
        )
