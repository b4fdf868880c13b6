"""Models of one linear layer: logistic regression and the perceptron."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from torch import Tensor, nn

__all__ = ["Logistic", "Perceptron"]


class Logistic(nn.Module):
    """A single linear layer; the softmax or sigmoid is part of the loss.

    With a regression loss, linear regression.

    Args:
        in_features: size of the flattened input.
        num_classes: number of outputs; 1 for a single regression target.
    """

    def __init__(self, in_features: Annotated[int, Ge(1)], num_classes: Annotated[int, Ge(1)]) -> None:
        super().__init__()
        self.head = nn.Linear(in_features, num_classes)
        nn.init.zeros_(self.head.weight)  # the loss is convex, so a symmetric start is sufficient
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, …)`` → logits ``(N, num_classes)``."""
        return self.head(inputs.flatten(1))


class Perceptron(nn.Module):
    """A weighted sum and a bias per class; the decision depends on the sign of the sum.

    All weights are initialized to zero, as in Rosenblatt, "The perceptron" (Psychological Review, 1958), so
    the initial probabilities are uniform and the first step is the same for every seed.

    Args:
        in_features: size of the flattened input.
        num_classes: number of units.
    """

    def __init__(self, in_features: Annotated[int, Ge(1)], num_classes: Annotated[int, Ge(1)]) -> None:
        super().__init__()
        self.head = nn.Linear(in_features, num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, …)`` → logits ``(N, num_classes)``."""
        return self.head(inputs.flatten(1))
