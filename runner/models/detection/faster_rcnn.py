"""Faster R-CNN, a two-stage detector: the first stage proposes regions, the second classifies them."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from runner.models.detection.backbone import BackboneName, Levels, feature_pyramid, make_anchors
from runner.models.detection.detector import Detector, in_float32, load_coco_weights

__all__ = ["faster_rcnn"]

PUBLISHED = {
    ("resnet50", (1, 2, 3, 4)): "fasterrcnn_resnet50_fpn",
    ("mobilenet_v3_large", (4, 5)): "fasterrcnn_mobilenet_v3_large_fpn",
}
RESOLUTION = 7
Fraction = Annotated[float, Ge(0), Le(1)]


class TwoStageDetector(Detector, FasterRCNN):
    first_label = 1
    # Step time per image on one thread with ResNet-18 at 256 px: 760 ms in fp32, 464 in bf16, 503 with
    # channels-last.
    hardware_hint = {"channels_last": False}


def faster_rcnn(
    num_classes: Annotated[int, Ge(1)],
    backbone: BackboneName = "resnet50",
    levels: Levels = (1, 2, 3, 4),
    channels: Annotated[int, Gt(0)] = 256,
    anchor_sizes: list[int] | list[list[int]] = (32, 64, 128, 256, 512),
    aspect_ratios: list[float] = (0.5, 1.0, 2.0),
    min_size: Annotated[int, Gt(0)] = 800,
    max_size: Annotated[int, Gt(0)] = 1333,
    pretrained: bool = False,
    pretrained_backbone: bool = False,
    backbone_weights: str | None = None,
    trainable_backbone_layers: Annotated[int, Ge(0)] | None = None,
    still_norm: bool | None = None,
    num_proposals: Annotated[int, Gt(0)] = 1000,
    rois_per_image: Annotated[int, Gt(0)] = 512,
    hidden_size: Annotated[int, Gt(0)] = 1024,
    score_thresh: Fraction = 0.05,
    nms_thresh: Fraction = 0.5,
    detections_per_img: Annotated[int, Gt(0)] = 100,
) -> nn.Module:
    """Ren et al., "Faster R-CNN: towards real-time object detection with region proposal networks" (2015), on
    a feature pyramid. See `Detector` for inputs and outputs.

    Args:
        num_classes: number of classes, excluding the background.
        levels: stages of the backbone the pyramid is built on; stage k has stride 2^(k + 1).
        channels: number of channels of the pyramid.
        anchor_sizes: anchor sizes in pixels of the resized image, one or several per level and for an
            additional top level.
        aspect_ratios: height-to-width ratios of anchors, used at every level.
        min_size, max_size: images are resized to a shorter side of ``min_size``, or a longer side of
            ``max_size`` if that is smaller.
        pretrained: load torchvision's COCO weights, except for the head.
        pretrained_backbone: load torchvision's ImageNet weights into the backbone.
        backbone_weights: local file with weights of the backbone, with torchvision's names.
        trainable_backbone_layers: number of trainable stages, counted from the last; if None, three with
            pretrained weights, otherwise all.
        still_norm: freeze the batch norms of the backbone; None freezes them with pretrained weights.
        num_proposals: maximum number of regions passed to the second stage.
        rois_per_image: number of regions per image that the second stage is trained on.
        hidden_size: hidden size of the second stage.
        score_thresh, nms_thresh, detections_per_img: minimum score, IoU threshold of non-maximum suppression,
            and maximum number of detections per image.

    Raises:
        UserError: settings are incompatible.
        WeightsError: weights cannot be loaded or do not fit.
    """
    pyramid = feature_pyramid(
        backbone, list(levels), channels, LastLevelMaxPool(), pretrained_backbone, backbone_weights,
        pretrained or pretrained_backbone or bool(backbone_weights), still_norm, trainable_backbone_layers,
    )  # fmt: skip
    anchors = make_anchors(anchor_sizes, aspect_ratios, len(levels) + 1)
    pooled = MultiScaleRoIAlign([str(level) for level in range(len(levels))], RESOLUTION, sampling_ratio=2)
    model = TwoStageDetector(
        pyramid,
        min_size=min_size,
        max_size=max(min_size, max_size),
        rpn_anchor_generator=anchors,
        rpn_head=in_float32(RPNHead(channels, anchors.num_anchors_per_location()[0])),
        rpn_pre_nms_top_n_train=2 * num_proposals,
        rpn_pre_nms_top_n_test=num_proposals,
        rpn_post_nms_top_n_train=2 * num_proposals,
        rpn_post_nms_top_n_test=num_proposals,
        box_roi_pool=pooled,
        box_head=TwoMLPHead(channels * RESOLUTION**2, hidden_size),
        box_predictor=in_float32(FastRCNNPredictor(hidden_size, num_classes + TwoStageDetector.first_label)),
        box_batch_size_per_image=rois_per_image,
        box_score_thresh=score_thresh,
        box_nms_thresh=nms_thresh,
        box_detections_per_img=detections_per_img,
    )
    if pretrained:
        name = PUBLISHED.get((backbone, tuple(levels))) if (channels, hidden_size) == (256, 1024) else None
        needed = " and ".join(f"backbone={known} levels={list(stages)}" for known, stages in PUBLISHED)
        load_coco_weights(model, name, f"{needed}, with channels=256 and hidden_size=1024")
    return model
