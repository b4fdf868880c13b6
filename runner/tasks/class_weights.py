"""Class weights for imbalanced data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from runner.errors import UserError

__all__ = ["class_weights"]

BETA = 0.999
"""β of the effective number of samples: a class with n samples counts as (1 − β^n) / (1 − β)."""


def class_weights(
    kind: Literal["balanced", "effective"] | Sequence[float], counts: Sequence[int], power: float = 1.0
) -> Tensor:
    """Computes one weight per class, with a mean of 1 over the training samples.

    Args:
        kind: ``balanced``, the inverse of each class's count; ``effective``, the inverse of its effective number (Cui et
            al. 2019), which grows more slowly than the count; or the weights themselves.
        counts: number of training samples of each class.
        power: exponent applied to the weights: 0 makes all weights 1, 1 leaves them unchanged.

    Raises:
        UserError: the class counts are missing, or the number of weights differs from the number of classes.
    """
    if not len(counts) or not sum(counts):
        raise UserError("task.class_weights: this data set provides no class counts. Remove the setting.")
    numbers = torch.tensor(counts, dtype=torch.float64)
    present = numbers.clamp(min=1)  # classes without training samples do not contribute to the loss
    if kind == "balanced":
        weights = 1 / present
    elif kind == "effective":
        weights = (1 - BETA) / (1 - BETA**present)
    else:
        weights = torch.tensor(list(kind), dtype=torch.float64)
    if len(weights) != len(counts):
        raise UserError(
            f"task.class_weights: {len(weights)} weights for {len(counts)} classes; expected one per class."
        )
    weights = weights**power
    return (weights * numbers.sum() / (weights * numbers).sum()).float()
