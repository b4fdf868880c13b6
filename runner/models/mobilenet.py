"""MobileNetV2: torchvision's, with a head and input channels to measure."""

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
        num_classes: logits to put out; 1 for a single regression target.
        in_channels: channels of the image.
        pretrained: start from torchvision's ImageNet weights, all but the head.
        dropout: share of features dropped before the head in training.
        stochastic_depth: how often the last block's residual branch is dropped in training; earlier ones less often.

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
