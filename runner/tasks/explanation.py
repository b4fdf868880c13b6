"""Requests and targets of explanations: the interface between a task and ``runner explain``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from runner.errors import UserError
from runner.suggest import did_you_mean

__all__ = [
    "ExplainedForecast",
    "ExplainedOutput",
    "ExplanationRequest",
    "ExplanationTarget",
    "format_values",
    "index_of",
    "single_token",
]

ExplainedOutput = Literal["numbers", "maps", "boxes"]
"""Form of a model's output: numbers, maps of the input's height and width, or boxes."""


@dataclass(frozen=True)
class ExplanationRequest:
    """The input to explain and the requested part of its prediction.

    Attributes:
        inputs: model input, ``(1, …)``.
        forward: maps inputs ``(N, …)`` to the model's outputs; differentiable.
        data: the run's data module, with its vocabulary restored.
        target: requested class, token or column by name or number; None for the prediction.
        step: requested step of the prediction, starting at 1; None for all steps.
        truth: target of the sample as the data module yields it; None if unknown.
    """

    inputs: Tensor
    forward: Callable[[Tensor], Any]
    data: Any = None
    target: str | None = None
    step: int | None = None
    truth: Any = None


@dataclass(frozen=True)
class ExplainedForecast:
    """A forecast that is drawn beside its explanation.

    Attributes:
        values: forecast of all target columns in the unit of the task, ``(H, K)``.
        column: index of the column among those of the input.
        index: index of the column among the targets.
    """

    values: np.ndarray
    column: int
    index: int


@dataclass
class ExplanationTarget:
    """One number of a prediction, which is attributed to the parts of the input.

    Attributes:
        score: differentiable function that maps inputs ``(N, …)`` to the explained number, ``(N,)``.
        name: name of the explained number, such as a class.
        prediction: the prediction as text.
        unit: unit of the number in figures.
        truth: true value as text; empty if unknown.
        probability: probability of the explained class or token.
        step: step of the prediction that the number belongs to, starting at 1.
        position: index of the input token that the step labels; None if steps and tokens are not aligned.
        box: the explained box, xyxy in pixels.
        mask: the explained pixels, bool ``(H, W)``.
        forecast: the explained forecast.
    """

    score: Callable[[Tensor], Tensor]
    name: str
    prediction: str
    unit: str = "logit"
    truth: str = ""
    probability: float | None = None
    step: int | None = None
    position: int | None = None
    box: list[float] | None = None
    mask: np.ndarray | None = None
    forecast: ExplainedForecast | None = None


def index_of(name: str, names: Sequence[str], kind: str) -> int:
    """Returns the index of a name; a number that is not a name is used as index.

    Args:
        name: value of ``--target``.
        names: the available names.
        kind: what the names denote, such as ``class``, for the message.

    Raises:
        UserError: the name does not exist.
    """
    if name in names:
        return list(names).index(name)
    if name.isdigit() and int(name) < len(names):
        return int(name)
    raise UserError(f"--target {name}: the run has no such {kind}. {did_you_mean(name, names)}")


def single_token(ids: Sequence[int], text: str) -> int:
    """Returns the id of a text that is one token.

    Args:
        ids: token ids of the text.
        text: value of ``--target``, for the message.

    Raises:
        UserError: the text is not exactly one token.
    """
    if len(ids) != 1:
        raise UserError(f"--target {text!r} is {len(ids)} tokens to this run; give a single one.")
    return ids[0]


def format_values(target: Any) -> str:
    """Formats the numbers of a target; empty for None."""
    if target is None:
        return ""
    return ", ".join(f"{value:.4g}" for value in torch.as_tensor(target).flatten().tolist())
