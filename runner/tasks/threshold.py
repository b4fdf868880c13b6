"""Decision threshold of binary classification."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

__all__ = ["Score", "best_threshold", "shifted"]

Score = Literal["f1", "balanced_accuracy", "accuracy"]


def best_threshold(probs: Tensor, targets: Tensor, score: Score) -> float:
    """Finds the threshold with the best score, midway between two samples; ties go to the one nearest 0.5.

    Args:
        probs: probabilities of the positive class, ``(N,)``.
        targets: 0 or 1, ``(N,)``.
        score: the score to maximize.
    """
    order = probs.double().argsort(descending=True)
    probs, targets = probs.double()[order], targets[order].double()
    positives, negatives = targets.sum(), (1 - targets).sum()
    if not positives or not negatives:
        return 0.5
    hits, alarms = (
        targets.cumsum(0),
        (1 - targets).cumsum(0),
    )  # if the first 1, 2, … samples are predicted positive
    scores = {
        "f1": 2 * hits / (hits + alarms + positives),
        "balanced_accuracy": (hits / positives + 1 - alarms / negatives) / 2,
        "accuracy": (hits + negatives - alarms) / len(targets),
    }[score]
    below = torch.cat([probs[1:], torch.zeros(1, dtype=torch.float64)])
    middles = (probs + below) / 2
    scores = scores.masked_fill(probs == below, -1)  # no threshold separates equal probabilities
    best = scores >= scores.max() - 1e-12
    return float(middles[best][(middles[best] - 0.5).abs().argmin()].clamp(1e-6, 1 - 1e-6))


def shifted(probs: Tensor, threshold: float | Tensor) -> Tensor:
    """Rescales probabilities ``(N, 2)`` so that the second is at least 0.5 exactly from the threshold on."""
    positive = probs[:, 1]
    low, high = 0.5 * positive / threshold, 0.5 + 0.5 * (positive - threshold) / (1 - threshold)
    bent = torch.where(positive >= threshold, high.clamp(min=0.5 + 1e-6), low.clamp(max=0.5 - 1e-6))
    return torch.stack([1 - bent, bent], -1)
