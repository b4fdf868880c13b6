"""ResNets of torchvision with a custom head, stem and number of input channels."""

from __future__ import annotations

from typing import Annotated, Literal

import torchvision
from annotated_types import Ge, Lt
from torch import nn

from runner.errors import UserError, WeightsError
from runner.models.branch import add_spatial_dropout, add_stochastic_depth
from runner.models.head import build_head
from runner.models.weights import WeightsReport, fit_weights

__all__ = ["load_torchvision_weights", "mobilenet_v2", "resnet"]


def load_torchvision_weights(model: nn.Module, name: str) -> WeightsReport:
    """Downloads the default weights of torchvision's model ``name``, verifies their hash and loads them.

    Raises:
        WeightsError: the weights cannot be downloaded or do not fit.
    """
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        state = weights.get_state_dict(progress=True, check_hash=True, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError) as error:  # RuntimeError: hash mismatch
        raise WeightsError(
            f"The weights {weights} cannot be downloaded from {weights.url} ({error}). "
            "Check the connection, or specify a local file with weights=FILE and pretrained=false."
        ) from error
    return fit_weights(model, state, source=str(weights))


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
    """He et al., "Deep residual learning for image recognition" (2015).

    ``(N, C, H, W)`` → ``(N, num_classes)``.

    Args:
        depth: number of layers with weights.
        num_classes: number of outputs; 1 for a single regression target.
        in_channels: number of image channels.
        pretrained: load torchvision's ImageNet weights, except for the head.
        dropout: dropout probability before the head.
        spatial_dropout: channel dropout probability after each of the four stages.
        stochastic_depth: drop probability of the last block's residual branch; lower for earlier blocks.
        stem: ``imagenet`` reduces the image size by a factor of four before the first block; ``small`` keeps
            it (3×3 convolution, stride 1, no pooling), for images of about 32 px, as in the paper's CIFAR
            networks.

    Raises:
        UserError: there are no pretrained weights for the stem.
        WeightsError: the weights cannot be downloaded or do not fit.
    """
    if pretrained and stem == "small":
        raise UserError(
            "pretrained=true with stem=small: ImageNet weights exist for stem=imagenet only. "
            "Use stem=imagenet or pretrained=false."
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
