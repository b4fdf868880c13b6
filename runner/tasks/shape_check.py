"""Does a model take the inputs there are, and put out what is wanted? Asked before any training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from runner.errors import UserError

__all__ = ["first_line", "in_eval_mode", "probe", "run_on_zeros", "shape_of"]


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Within it the model and all of its parts are in evaluation mode; afterwards each is in its own again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def run_on_zeros(model: nn.Module, input_shape: Sequence[int], inputs: str, remedy: str) -> Any:
    """What comes of one input of zeros through ``model`` in evaluation mode, which leaves the model as it was.

    Args:
        input_shape: of one input; the model takes ``(N, *input_shape)``.
        inputs: what they are called in the message.
        remedy: its last sentence.

    Raises:
        UserError: it cannot take such inputs.
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
    """For messages: the shape of a tensor, what else it is."""
    return tuple(outputs.shape) if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"


def probe(model: nn.Module, input_shape: Sequence[int], num_outputs: int) -> None:
    """Whether ``model`` takes ``(N, *input_shape)`` and puts out ``(N, num_outputs)``.

    Raises:
        UserError: it does not.
    """
    remedy = "Choose a model for such inputs, or change their size."
    got = shape_of(run_on_zeros(model, input_shape, "inputs", remedy))
    if got != (1, num_outputs):
        raise UserError(
            f"{type(model).__name__} puts out {got} for one input; this data wants (1, {num_outputs}). "
            "In the model's config, give num_classes: ${facts:num_outputs}."
        )


def first_line(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if text.endswith(".") else f"{text}."
