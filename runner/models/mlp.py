"""Multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import Ge, Lt
from torch import Tensor, nn

__all__ = ["MLP"]

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
NORMS: dict[str, type[nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


class MLP(nn.Module):
    """Fully connected layers on the flattened input, each linear → normalization → activation → dropout.

    Args:
        in_features: size of the flattened input.
        num_classes: number of outputs; 1 for a single regression target.
        hidden_sizes: number of units of each hidden layer; an empty list gives a linear model.
        activation: activation function of the hidden layers.
        dropout: dropout probability of hidden units.
        normalization: batch normalization, layer normalization or none.
    """

    def __init__(
        self,
        in_features: Annotated[int, Ge(1)],
        num_classes: Annotated[int, Ge(1)],
        hidden_sizes: Sequence[Annotated[int, Ge(1)]] = (256,),
        activation: Activation = "relu",
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        normalization: Literal["none", "batch", "layer"] = "none",
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        size = in_features
        for hidden_size in hidden_sizes:
            layers.append(nn.Linear(size, hidden_size))
            if normalization != "none":
                layers.append(NORMS[normalization](hidden_size))
            layers.append(ACTIVATIONS[activation]())
            if dropout:
                layers.append(nn.Dropout(dropout))
            size = hidden_size
        self.backbone = nn.Sequential(*layers)
        self.head = nn.Linear(size, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, …)`` → logits ``(N, num_classes)``."""
        return self.head(self.backbone(inputs.flatten(1)))
