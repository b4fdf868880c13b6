"""Checks before training that a model accepts the inputs of the data and returns the expected shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from runner.errors import UserError

__all__ = ["check_output_shape", "first_line", "in_eval_mode", "run_on_zeros", "shape_of"]


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Context manager that sets the model to evaluation mode and restores the modes afterwards.

    Args:
        model: the model; the mode of each of its modules is restored.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def run_on_zeros(model: nn.Module, input_shape: Sequence[int], inputs: str, remedy: str) -> Any:
    """Passes one input of zeros through ``model`` in evaluation mode, without changing the model.

    Args:
        model: the model to check.
        input_shape: shape of one input; the model takes ``(N, *input_shape)``.
        inputs: name of the inputs in the error message.
        remedy: last sentence of the error message.

    Raises:
        UserError: the model cannot process such inputs.
    """
    name, shape = type(model).__name__, tuple(input_shape)
    reference = next(model.parameters(), torch.empty(0))
    try:
        with in_eval_mode(model):
            return model(torch.zeros((1, *shape), device=reference.device, dtype=reference.dtype))
    except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:
        raise UserError(
            f"{name} cannot take the {inputs} of this data, of shape {shape}: {first_line(error)} {remedy}"
        ) from error


def shape_of(outputs: Any) -> Any:
    """Returns the shape of a tensor, or the type of any other object, for messages."""
    return tuple(outputs.shape) if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"


def check_output_shape(model: nn.Module, input_shape: Sequence[int], num_outputs: int) -> None:
    """Checks that ``model`` maps ``(N, *input_shape)`` to ``(N, num_outputs)``.

    Args:
        model: the model to check.
        input_shape: shape of one input.
        num_outputs: number of outputs that the data requires.

    Raises:
        UserError: the model does not accept these inputs or returns another shape.
    """
    remedy = "Choose a model for such inputs, or change their size."
    got = shape_of(run_on_zeros(model, input_shape, "inputs", remedy))
    if got != (1, num_outputs):
        raise UserError(
            f"{type(model).__name__} returns {got} for one input; this data requires (1, {num_outputs}). "
            "In the model's config, set num_classes: ${facts:num_outputs}."
        )


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or its type, with a full stop."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if text.endswith(".") else f"{text}."
