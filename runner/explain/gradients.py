"""Integrated gradients: attributions that add up to the difference between score and baseline score."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

__all__ = ["Integrated", "in_use", "integrated_gradients"]


@contextmanager
def in_use(model: nn.Module) -> Iterator[None]:
    """Context manager for gradients with respect to inputs: evaluation mode, no gradients of parameters.

    For recurrent models, cuDNN is disabled, because its layers only support the backward pass in training
    mode (PyTorch 2.15).
    """
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    was_training = model.training
    for parameter in wanted:
        parameter.requires_grad_(False)
    model.eval()
    try:
        enabled = torch.backends.cudnn.enabled and not recurrent
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=enabled):
            yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
        model.train(was_training)


AT_ONCE = 16
"""Number of points on the path in one forward pass."""


@dataclass
class Integrated:
    """Result of integrated gradients for one input.

    Attributes:
        values: attributions in the shape of the input, ``(1, …)``.
        score, baseline_score: scores at both ends of the path.
    """

    values: Tensor
    score: float
    baseline_score: float

    @property
    def error(self) -> float:
        """Violation of completeness: deviation of the sum of values from the difference of the scores."""
        return float(self.values.double().sum()) - (self.score - self.baseline_score)


def integrated_gradients(
    score: Callable[..., Tensor], inputs: Tensor, baseline: Tensor, steps: int, *further: Any
) -> Integrated:
    """Sundararajan, Taly, Yan 2017, arXiv:1703.01365, by Gauss-Legendre quadrature.

    Args:
        score: maps inputs ``(N, …)`` and the ``further`` arguments to ``(N,)``.
        inputs: end of the path, ``(1, …)``.
        baseline: start of the path, in the shape of the inputs.
        steps: number of points on the path.
        further: additional constant arguments of ``score``.
    """
    values = IntegratedGradients(score).attribute(
        inputs, baseline, n_steps=steps, internal_batch_size=AT_ONCE, additional_forward_args=further or None
    )
    with torch.no_grad():
        ends = [float(score(end, *further)[0]) for end in (inputs, baseline)]
    return Integrated(values.detach(), *ends)
