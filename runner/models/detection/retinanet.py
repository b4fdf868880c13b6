"""RetinaNet, a one-stage detector with dense anchors and a focal loss that down-weights easy background."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from annotated_types import Ge, Gt, Le
from torch import nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from runner.errors import UserError
from runner.models.detection.backbone import BackboneName, Levels, feature_pyramid, make_anchors
from runner.models.detection.detector import Detector, in_float32, load_coco_weights

__all__ = ["retinanet"]

NUM_GROUPS = 32
OCTAVE = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
Fraction = Annotated[float, Ge(0), Le(1)]


class AnchorDetector(Detector, RetinaNet):
    """RetinaNet with one sigmoid per class and no background class, so internal labels start at 0, too."""


def retinanet(
    num_classes: Annotated[int, Ge(1)],
    backbone: BackboneName = "resnet50",
    levels: Levels = (2, 3, 4),
    channels: Annotated[int, Gt(0)] = 256,
    group_norm: bool = False,
    anchor_sizes: list[int] = (32, 64, 128, 256, 512),
    aspect_ratios: list[float] = (0.5, 1.0, 2.0),
    min_size: Annotated[int, Gt(0)] = 800,
    max_size: Annotated[int, Gt(0)] = 1333,
    pretrained: bool = False,
    pretrained_backbone: bool = False,
    backbone_weights: str | None = None,
    trainable_backbone_layers: Annotated[int, Ge(0)] | None = None,
    still_norm: bool | None = None,
    score_thresh: Fraction = 0.05,
    nms_thresh: Fraction = 0.5,
    detections_per_img: Annotated[int, Gt(0)] = 100,
) -> nn.Module:
    """Lin et al., "Focal loss for dense object detection" (2017). See `Detector` for inputs and outputs.

    Args:
        num_classes: number of classes, excluding the background.
        levels: stages of the backbone the pyramid is built on; stage k has stride 2^(k + 1).
            Two more levels are added on top.
        channels: number of channels of pyramid and head.
        group_norm: add group norms between the head's layers. The paper uses none, but without pretrained
            weights the head hardly learns without them.
        anchor_sizes: anchor sizes in pixels of the resized image, one per level; two more sizes, a third of
            an octave apart, are added to each.
        aspect_ratios: height-to-width ratios of anchors, used at every level.
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
    sizes = [[int(size * step) for step in OCTAVE] for size in anchor_sizes]
    anchors = make_anchors(sizes, aspect_ratios, len(levels) + 2)
    if group_norm and channels % NUM_GROUPS:
        raise UserError(
            f"channels={channels}: expected a multiple of {NUM_GROUPS}, for the head's group norms."
        )
    norm = partial(nn.GroupNorm, NUM_GROUPS) if group_norm else None
    head = RetinaNetHead(channels, anchors.num_anchors_per_location()[0], num_classes, norm)
    model = AnchorDetector(
        pyramid,
        num_classes,
        min_size=min_size,
        max_size=max(min_size, max_size),
        anchor_generator=anchors,
        head=in_float32(head),
        score_thresh=score_thresh,
        nms_thresh=nms_thresh,
        detections_per_img=detections_per_img,
    )
    if pretrained:
        fits = (backbone, tuple(levels), channels, group_norm) == ("resnet50", (2, 3, 4), 256, False)
        needed = "backbone=resnet50 levels=[2, 3, 4] channels=256 group_norm=false"
        load_coco_weights(model, "retinanet_resnet50_fpn" if fits else None, needed)
    return model
