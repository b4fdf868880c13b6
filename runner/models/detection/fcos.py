"""FCOS, a one-stage detector without anchors: each location predicts the distances to its object's sides."""

from __future__ import annotations

from typing import Annotated, Any, Unpack

from annotated_types import Ge, Gt, Le
from torch import nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from runner.errors import UserError
from runner.models.detection.backbone import BackboneName, Levels, feature_pyramid
from runner.models.detection.detector import (
    BackboneOptions,
    Detector,
    Float32Anchors,
    PyramidDetector,
    PyramidOptions,
    in_float32,
)

__all__ = ["FCOSDetector"]

NUM_GROUPS = 32
Fraction = Annotated[float, Ge(0), Le(1)]


class AnchorFreeDetector(Detector, FCOS):
    """torchvision's FCOS with the interface of `Detector`; it has no background class."""


class FCOSDetector(PyramidDetector, AnchorFreeDetector):
    """Tian et al., "FCOS: fully convolutional one-stage object detection" (2019).

    It has one sigmoid per class and no background class, so internal labels start at 0, too. See `Detector`
    for inputs and outputs.

    Args:
        num_classes: number of classes, excluding the background.
        backbone: name of the backbone in torchvision.
        levels: stages of the backbone the pyramid is built on; stage k has stride 2^(k + 1).
            Two more levels are added on top. A level detects objects up to eight times its stride.
        channels: number of channels of pyramid and head, a multiple of 32.
        head_convs: number of convolutions in the head.
        score_thresh: minimum score of a detection.
        nms_thresh: IoU threshold of non-maximum suppression.
        options: see `PyramidDetector`.
    """

    def __init__(
        self,
        num_classes: Annotated[int, Ge(1)],
        backbone: BackboneName = "resnet50",
        levels: Levels = (2, 3, 4),
        channels: Annotated[int, Gt(0)] = 256,
        head_convs: Annotated[int, Ge(1)] = 4,
        score_thresh: Fraction = 0.05,
        nms_thresh: Fraction = 0.6,
        **options: Unpack[PyramidOptions],
    ) -> None:
        if channels % NUM_GROUPS:
            raise UserError(
                f"channels={channels}: expected a multiple of {NUM_GROUPS}, for the head's group norms."
            )

        def architecture(backbone_options: BackboneOptions) -> dict[str, Any]:
            extra = LastLevelP6P7(channels, channels)
            pyramid = feature_pyramid(backbone, list(levels), channels, extra, *backbone_options)
            strides = [2 ** (levels[0] + 1 + level) for level in range(len(levels) + 2)]
            sizes = tuple((stride,) for stride in strides)
            head = FCOSHead(channels, 1, num_classes, head_convs)
            # A side initialized below zero gets no gradient through the head's ReLU, and if two opposite
            # sides are, boxes stay empty and never learn. So each side is initialized to one stride.
            nn.init.constant_(head.regression_head.bbox_reg.bias, 1.0)
            return {
                "backbone": pyramid,
                "num_classes": num_classes,
                "anchor_generator": Float32Anchors(sizes, ((1.0,),) * len(sizes)),
                "head": in_float32(head),
            }

        fits = (backbone, tuple(levels), channels, head_convs) == ("resnet50", (2, 3, 4), 256, 4)
        published = "fcos_resnet50_fpn" if fits else None
        settings = "backbone=resnet50 levels=[2, 3, 4] channels=256 head_convs=4"
        super().__init__(architecture, published, settings, score_thresh, nms_thresh, **options)
