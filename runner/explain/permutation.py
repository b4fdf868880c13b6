"""Permutation importance: decrease of a model's quality when the values of a column are shuffled."""

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
        names: names of the columns.
        mean, std: decrease of quality over the repeats, each ``(columns,)``.
        metric: name of the quality metric.
        score: the quality without shuffling.
        num_samples: number of evaluated rows.
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
        quality: maps features ``(N, F)`` to one number; higher is better.
        columns: index of the column that each of the F features is derived from.
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
    """Shuffles the features in ``mask`` ``(1, F)`` with a common permutation of rows, drawn on the CPU so that it is the
    same on every device."""
    order = torch.randperm(len(inputs)).to(inputs.device)
    return torch.where(mask, inputs[order], inputs)
