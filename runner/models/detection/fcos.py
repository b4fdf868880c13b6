"""FCOS, a one-stage detector without anchors: each location predicts the distances to the sides of its
object.
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le
from torch import nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from runner.errors import UserError
from runner.models.detection.backbone import BackboneName, Levels, feature_pyramid
from runner.models.detection.detector import Detector, ExactAnchors, in_float32, load_coco_weights

__all__ = ["fcos"]

NUM_GROUPS = 32
Fraction = Annotated[float, Ge(0), Le(1)]


class AnchorFreeDetector(Detector, FCOS):
    """FCOS with one sigmoid per class and no background class, so internal labels start at 0, too."""


def fcos(
    num_classes: Annotated[int, Ge(1)],
    backbone: BackboneName = "resnet50",
    levels: Levels = (2, 3, 4),
    channels: Annotated[int, Gt(0)] = 256,
    head_convs: Annotated[int, Ge(1)] = 4,
    min_size: Annotated[int, Gt(0)] = 800,
    max_size: Annotated[int, Gt(0)] = 1333,
    pretrained: bool = False,
    pretrained_backbone: bool = False,
    backbone_weights: str | None = None,
    trainable_backbone_layers: Annotated[int, Ge(0)] | None = None,
    still_norm: bool | None = None,
    score_thresh: Fraction = 0.05,
    nms_thresh: Fraction = 0.6,
    detections_per_img: Annotated[int, Gt(0)] = 100,
) -> nn.Module:
    """Tian et al., "FCOS: fully convolutional one-stage object detection" (2019). See `Detector` for inputs
    and outputs.

    Args:
        num_classes: number of classes, excluding the background.
        levels: stages of the backbone the pyramid is built on; stage k has stride 2^(k + 1).
            Two more levels are added on top. A level detects objects up to eight times its stride.
        channels: number of channels of pyramid and head, a multiple of 32.
        head_convs: number of convolutions in the head.
        min_size, max_size: images are resized to a shorter side of ``min_size``, or a longer side of
            ``max_size`` if that is smaller.
        pretrained: load torchvision's COCO weights, except for the head.
        pretrained_backbone: load torchvision's ImageNet weights into the backbone.
        backbone_weights: local file with weights of the backbone, with torchvision's names.
        trainable_backbone_layers: number of trainable stages, counted from the last; if None, three with
            pretrained weights, otherwise all.
        still_norm: freeze the batch norms of the backbone; None freezes them with pretrained weights.
        score_thresh, nms_thresh, detections_per_img: minimum score, IoU threshold of non-maximum suppression,
            and maximum number of detections per image.

    Raises:
        UserError: settings are incompatible.
        WeightsError: weights cannot be loaded or do not fit.
    """
    if channels % NUM_GROUPS:
        raise UserError(
            f"channels={channels}: expected a multiple of {NUM_GROUPS}, for the head's group norms."
        )
    pyramid = feature_pyramid(
        backbone,
        list(levels),
        channels,
        LastLevelP6P7(channels, channels),
        pretrained_backbone,
        backbone_weights,
        pretrained or pretrained_backbone or bool(backbone_weights),
        still_norm,
        trainable_backbone_layers,
    )
    strides = [2 ** (levels[0] + 1 + level) for level in range(len(levels) + 2)]
    model = AnchorFreeDetector(
        pyramid,
        num_classes,
        min_size=min_size,
        max_size=max(min_size, max_size),
        anchor_generator=ExactAnchors(tuple((stride,) for stride in strides), ((1.0,),) * len(strides)),
        head=in_float32(FCOSHead(channels, 1, num_classes, head_convs)),
        score_thresh=score_thresh,
        nms_thresh=nms_thresh,
        detections_per_img=detections_per_img,
    )
    # A side initialized below zero gets no gradient through the head's ReLU, and if two opposite sides are,
    # boxes stay empty and never learn. So each side is initialized to one stride.
    nn.init.constant_(model.head.regression_head.bbox_reg.bias, 1.0)
    if pretrained:
        fits = (backbone, tuple(levels), channels, head_convs) == ("resnet50", (2, 3, 4), 256, 4)
        needed = "backbone=resnet50 levels=[2, 3, 4] channels=256 head_convs=4"
        load_coco_weights(model, "fcos_resnet50_fpn" if fits else None, needed)
    return model
