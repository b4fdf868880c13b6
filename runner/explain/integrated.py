"""Integrated gradients: an answer divided among the parts of its input, so that the parts add up to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from captum.attr import IntegratedGradients
from torch import Tensor

__all__ = ["Integrated", "integrated_gradients"]

AT_ONCE = 16
"""Points of the path that are computed at a time."""


@dataclass
class Integrated:
    """
    Attributes:
        values: of the input's shape, ``(1, …)``.
        score, baseline_score: what lies at the ends of the path.
    """

    values: Tensor
    score: float
    baseline_score: float

    @property
    def error(self) -> float:
        """By how much the values fail to add up to the difference of the scores (completeness, axiom of the method)."""
        return float(self.values.double().sum()) - (self.score - self.baseline_score)


def integrated_gradients(
    score: Callable[..., Tensor], inputs: Tensor, baseline: Tensor, steps: int, *further: Any
) -> Integrated:
    """Sundararajan, Taly, Yan 2017, arXiv:1703.01365, by Gauss-Legendre quadrature.

    Args:
        score: inputs ``(N, …)``, and what is in ``further``, to ``(N,)``.
        baseline: where the path begins, of the inputs' shape.
        steps: points of the path.
        further: arguments that stay as they are.
    """
    values = IntegratedGradients(score).attribute(
        inputs, baseline, n_steps=steps, internal_batch_size=AT_ONCE, additional_forward_args=further or None
    )
    with torch.no_grad():
        ends = [float(score(end, *further)[0]) for end in (inputs, baseline)]
    return Integrated(values.detach(), *ends)
