"""Permutation importance: what a model's quality loses when a column's values go to the wrong rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import FeaturePermutation
from torch import Tensor

__all__ = ["Importance", "permutation_importance"]


@dataclass
class Importance:
    """
    Attributes:
        names: of the columns.
        mean, std: of the loss of quality over the repeats, each ``(columns,)``.
        metric: what the quality is.
        score: the quality with all columns in place.
        num_samples: rows it was measured on.
    """

    names: list[str]
    mean: np.ndarray
    std: np.ndarray
    metric: str
    score: float
    num_samples: int


def permutation_importance(
    quality: Callable[[Tensor], Tensor],
    inputs: Tensor,
    columns: Sequence[str],
    metric: str,
    repeats: int = 10,
    seed: int = 0,
) -> Importance:
    """Breiman, Random forests, Machine Learning, 2001. All features of one column are permuted together.

    Args:
        quality: features ``(N, F)`` to one number, more being better.
        columns: of which column each of the F features is made.
    """
    names = list(dict.fromkeys(columns))
    groups = torch.tensor([[names.index(column) for column in columns]], device=inputs.device)
    places = [list(columns).index(name) for name in names]
    losses = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        score = float(quality(inputs))
        for _ in range(repeats):
            values = FeaturePermutation(quality, permute).attribute(inputs, feature_mask=groups)
            losses.append(values[0, places].double().cpu().numpy())
    return Importance(names, np.mean(losses, 0), np.std(losses, 0), metric, score, len(inputs))


def permute(inputs: Tensor, mask: Tensor) -> Tensor:
    """The features in ``mask`` ``(1, F)`` from other rows, the same for all of them; drawn on the CPU, so that the same
    seed draws the same on every device."""
    order = torch.randperm(len(inputs)).to(inputs.device)
    return torch.where(mask, inputs[order], inputs)
