"""MobileNetV2 of torchvision with a custom head and number of input channels."""

from __future__ import annotations

from typing import Annotated

import torchvision
from annotated_types import Ge, Lt
from torch import nn

from runner.models.branch import add_stochastic_depth
from runner.models.pretrained import load_torchvision_weights

__all__ = ["mobilenet_v2"]


def mobilenet_v2(
    num_classes: Annotated[int, Ge(1)],
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    stochastic_depth: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> nn.Module:
    """Sandler et al., "MobileNetV2" (2018). ``(N, C, H, W)`` → ``(N, num_classes)``.

    Args:
        num_classes: number of outputs; 1 for a single regression target.
        in_channels: number of image channels.
        pretrained: load torchvision's ImageNet weights, except for the head.
        dropout: dropout probability before the head.
        stochastic_depth: drop probability of the last block's residual branch; lower for earlier blocks.

    Raises:
        WeightsError: the weights cannot be downloaded or do not fit.
    """
    model = torchvision.models.mobilenet_v2(weights=None, num_classes=num_classes, dropout=dropout)
    if in_channels != 3:
        first = model.features[0][0]
        conv = nn.Conv2d(in_channels, first.out_channels, 3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out")
        model.features[0][0] = conv
    add_stochastic_depth(model, stochastic_depth)
    if pretrained:
        load_torchvision_weights(model, "mobilenet_v2")
    return model
