"""FCOS: one stage without anchors; each place says how far away the sides of its thing are."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le
from torch import nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from runner.errors import UserError
from runner.models.detection.backbone import BackboneName, Levels, feature_pyramid
from runner.models.detection.coco_weights import load_coco_weights
from runner.models.detection.detector import Detector
from runner.models.detection.float32_boxes import ExactAnchors, in_float32

__all__ = ["fcos"]

NUM_GROUPS = 32
Fraction = Annotated[float, Ge(0), Le(1)]


class AnchorFreeDetector(Detector, FCOS):
    """It has a sigmoid for each class and none for the background: labels count from 0 inside too."""


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
    """Tian et al., "FCOS: fully convolutional one-stage object detection" (2019). See `Detector` for what it takes
    and gives.

    Args:
        num_classes: of things, the background not counted.
        levels: stages of the backbone the pyramid is built on; stage k is 2^(k + 1) times smaller than the image.
            Two more levels are put on top. A level is for things up to eight times its stride.
        channels: of pyramid and head, a multiple of 32.
        head_convs: layers of the head.
        min_size, max_size: images are resized until the shorter side is the one, or the longer one the other.
        pretrained: start from torchvision's COCO weights, all but the head.
        pretrained_backbone: start the backbone from torchvision's ImageNet weights.
        backbone_weights: or from a local file of the backbone's weights, in torchvision's names.
        trainable_backbone_layers: stages that train, from the last; three where there are weights, else all.
        still_norm: batch norms of the backbone keep their statistics; None: where it starts from weights.
        score_thresh, nms_thresh, detections_per_img: which detections count: of that score at least, of those
            that overlap more than that the best, and so many for each image.

    Raises:
        UserError: settings that do not go together.
        WeightsError: weights cannot be had, or do not fit.
    """
    if channels % NUM_GROUPS:
        raise UserError(f"channels={channels}: expected a multiple of {NUM_GROUPS}, for the head's group norms.")
    pyramid = feature_pyramid(
        backbone, list(levels), channels, LastLevelP6P7(channels, channels), pretrained_backbone, backbone_weights,
        pretrained or pretrained_backbone or bool(backbone_weights), still_norm, trainable_backbone_layers,
    )  # fmt: skip
    strides = [2 ** (levels[0] + 1 + place) for place in range(len(levels) + 2)]
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
    # The head's ReLU leaves a side that starts below zero there for ever, and where two opposite ones do, boxes stay
    # empty and learn nothing. So each side starts at one stride.
    nn.init.constant_(model.head.regression_head.bbox_reg.bias, 1.0)
    if pretrained:
        fits = (backbone, tuple(levels), channels, head_convs) == ("resnet50", (2, 3, 4), 256, 4)
        needed = "backbone=resnet50 levels=[2, 3, 4] channels=256 head_convs=4"
        load_coco_weights(model, "fcos_resnet50_fpn" if fits else None, needed)
    return model
