"""Small convolutional network for digits and experiments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, Lt, MinLen
from torch import Tensor, nn

from runner.models.branch import add_spatial_dropout
from runner.models.head import build_head

__all__ = ["SmallCNN"]


class SmallCNN(nn.Module):
    """Blocks of 3×3 convolution, batch norm and ReLU, separated by max pooling.

    Args:
        num_classes: number of outputs; 1 for a single regression target.
        in_channels: number of image channels.
        widths: number of channels of each block; n blocks need an image of at least 2^(n−1) px.
        dropout: dropout probability before the head.
        spatial_dropout: channel dropout probability after each block.
    """

    def __init__(
        self,
        num_classes: Annotated[int, Ge(1)],
        in_channels: Annotated[int, Ge(1)] = 1,
        widths: Annotated[Sequence[Annotated[int, Ge(1)]], MinLen(1)] = (16, 32),
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        spatial_dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for block, width in enumerate(widths):
            if block:
                layers.append(nn.MaxPool2d(2))
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.backbone = nn.Sequential(*layers)
        add_spatial_dropout((layer for layer in layers if isinstance(layer, nn.ReLU)), spatial_dropout)
        self.head = build_head(channels, num_classes, dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, C, H, W)`` → logits ``(N, num_classes)``."""
        return self.head(self.backbone(inputs).mean((2, 3)))
