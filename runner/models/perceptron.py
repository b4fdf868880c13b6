"""The perceptron: one layer of threshold units that starts from nothing."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

__all__ = ["Perceptron"]


class Perceptron(nn.Module):
    """A weighted sum and a bias per class; the decision is the side of the line the sum falls on.

    All weights start at zero, as in Rosenblatt, "The perceptron" (Psychological Review, 1958): the first
    probabilities are even and the first step is the same for every seed.

    Args:
        in_features: numbers in one input, all dimensions together.
        num_classes: units.
    """

    def __init__(self, in_features: Annotated[int, Ge(1)], num_classes: Annotated[int, Ge(1)]):
        super().__init__()
        self.head = nn.Linear(in_features, num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, …)`` → logits ``(N, num_classes)``."""
        return self.head(inputs.flatten(1))
