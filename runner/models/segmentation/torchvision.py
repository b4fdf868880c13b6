"""Segmentation models of torchvision for images of any size: FCN, DeepLab V3 and LR-ASPP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torchvision
from annotated_types import Ge
from torch import Tensor, nn

from runner.models.pretrained import load_torchvision_weights

__all__ = ["deeplab_v3", "fcn", "lraspp"]


def fcn(
    num_classes: Annotated[int, Ge(1)],
    backbone: Literal["resnet50", "resnet101"] = "resnet50",
    pretrained: bool = False,
) -> nn.Module:
    """Long et al., "Fully convolutional networks" (2014, arXiv:1411.4038), on a ResNet with output stride 8.

    ``(N, 3, H, W)`` → ``(N, num_classes, H, W)``.

    Args:
        num_classes: number of classes.
        backbone: name of the backbone.
        pretrained: load torchvision's COCO weights, except for the last layer.

    Raises:
        WeightsError: the weights cannot be downloaded or do not fit.
    """
    return build(f"fcn_{backbone}", num_classes, pretrained)


def deeplab_v3(
    num_classes: Annotated[int, Ge(1)],
    backbone: Literal["resnet50", "resnet101", "mobilenet_v3_large"] = "mobilenet_v3_large",
    pretrained: bool = False,
) -> nn.Module:
    """Chen et al., "Rethinking atrous convolution" (2017, arXiv:1706.05587).

    Arguments, shapes and errors are those of `fcn`.

    Args:
        num_classes: number of classes.
        backbone: name of the backbone.
        pretrained: load torchvision's COCO weights, except for the last layer.
    """
    return build(f"deeplabv3_{backbone}", num_classes, pretrained)


def lraspp(num_classes: Annotated[int, Ge(1)], pretrained: bool = False) -> nn.Module:
    """Howard et al., "Searching for MobileNetV3" (2019, arXiv:1905.02244), small and fast.

    ``(N, 3, H, W)`` → ``(N, num_classes, H, W)``.

    Args:
        num_classes: number of classes.
        pretrained: load torchvision's COCO weights, except for the last layer.

    Raises:
        WeightsError: the weights cannot be downloaded or do not fit.
    """
    return build("lraspp_mobilenet_v3_large", num_classes, pretrained)


def build(name: str, num_classes: int, pretrained: bool) -> nn.Module:
    """Build a segmentation model of torchvision that returns logits."""
    model = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=num_classes)
    if pretrained:
        load_torchvision_weights(model, name)
    model.register_forward_hook(unpack_logits)
    return model


def unpack_logits(module: nn.Module, inputs: Any, outputs: dict[str, Tensor]) -> Tensor:
    """Unpack the logits from torchvision's dict of outputs."""
    return outputs["out"]
