"""Residual networks: torchvision's, with a head, a stem and input channels to measure."""

from __future__ import annotations

from typing import Annotated, Literal

import torchvision
from annotated_types import Ge, Lt
from torch import nn

from runner.errors import UserError
from runner.models.branch import add_spatial_dropout, add_stochastic_depth
from runner.models.head import build_head
from runner.models.pretrained import load_torchvision_weights

__all__ = ["resnet"]


def resnet(
    depth: Literal[18, 34, 50, 101, 152],
    num_classes: Annotated[int, Ge(1)],
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    spatial_dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    stochastic_depth: Annotated[float, Ge(0), Lt(1)] = 0.0,
    stem: Literal["imagenet", "small"] = "imagenet",
) -> nn.Module:
    """He et al., "Deep residual learning for image recognition" (2015). ``(N, C, H, W)`` → ``(N, num_classes)``.

    Args:
        depth: layers that have weights.
        num_classes: logits to put out; 1 for a single regression target.
        in_channels: channels of the image.
        pretrained: start from torchvision's ImageNet weights, all but the head.
        dropout: share of features dropped before the head in training.
        spatial_dropout: share of channels dropped behind each of the four stages in training.
        stochastic_depth: how often the last block's residual branch is dropped in training; earlier ones less often.
        stem: ``imagenet`` divides the image by four before the first block; ``small`` keeps its size
            (3×3 convolution, stride 1, no pooling), for images of about 32 px, as the paper's CIFAR nets do.

    Raises:
        UserError: pretrained weights for a stem that has none.
        WeightsError: the weights cannot be downloaded or do not fit.
    """
    if pretrained and stem == "small":
        raise UserError(
            "pretrained=true with stem=small: ImageNet weights exist for stem=imagenet only. "
            "Take stem=imagenet, or pretrained=false."
        )
    name = f"resnet{depth}"
    model = torchvision.models.get_model(name, weights=None)
    if stem == "small":
        model.conv1 = _stem_conv(in_channels, kernel_size=3, stride=1)
        model.maxpool = nn.Identity()
    elif in_channels != 3:
        model.conv1 = _stem_conv(in_channels, kernel_size=7, stride=2)
    model.fc = build_head(model.fc.in_features, num_classes, dropout)
    add_stochastic_depth(model, stochastic_depth)
    add_spatial_dropout((model.layer1, model.layer2, model.layer3, model.layer4), spatial_dropout)
    if pretrained:
        load_torchvision_weights(model, name)
    return model


def _stem_conv(in_channels: int, kernel_size: int, stride: int) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, 64, kernel_size, stride, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv
