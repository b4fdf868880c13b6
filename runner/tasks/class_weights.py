"""Weights that make up for classes of different sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from runner.errors import UserError

__all__ = ["class_weights"]

BETA = 0.999
"""Of the effective number: a class of n samples counts as (1 − β^n) / (1 − β)."""


def class_weights(
    kind: Literal["balanced", "effective"] | Sequence[float], counts: Sequence[int], power: float = 1.0
) -> Tensor:
    """One weight a class, with a mean of 1 over the training samples.

    Args:
        kind: ``balanced``, the inverse of each class's count; ``effective``, of its effective number (Cui et al.
            2019), which grows more slowly than the count; or the weights themselves.
        counts: training samples of each class.
        power: of the weights: 0 makes them all 1, 1 leaves them.

    Raises:
        UserError: there are no counts, or not as many weights as classes.
    """
    if not len(counts) or not sum(counts):
        raise UserError("task.class_weights: this data set does not count its classes. Take it away.")
    numbers = torch.tensor(counts, dtype=torch.float64)
    present = numbers.clamp(min=1)  # a class without training samples takes part in no loss
    if kind == "balanced":
        weights = 1 / present
    elif kind == "effective":
        weights = (1 - BETA) / (1 - BETA**present)
    else:
        weights = torch.tensor(list(kind), dtype=torch.float64)
    if len(weights) != len(counts):
        raise UserError(f"task.class_weights: {len(weights)} weights for {len(counts)} classes; expected one a class.")
    weights = weights**power
    return (weights * numbers.sum() / (weights * numbers).sum()).float()
