"""Faster R-CNN, a two-stage detector: the first stage proposes regions, the second classifies them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Unpack

from annotated_types import Ge, Gt, Le
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from runner.models.detection.backbone import BackboneName, Levels, feature_pyramid, make_anchors
from runner.models.detection.detector import (
    BackboneOptions,
    Detector,
    PyramidDetector,
    PyramidOptions,
    in_float32,
)

__all__ = ["FasterRCNNDetector"]

PUBLISHED = {
    ("resnet50", (1, 2, 3, 4)): "fasterrcnn_resnet50_fpn",
    ("mobilenet_v3_large", (4, 5)): "fasterrcnn_mobilenet_v3_large_fpn",
}
RESOLUTION = 7
Fraction = Annotated[float, Ge(0), Le(1)]


class TwoStageDetector(Detector, FasterRCNN):
    """torchvision's FasterRCNN with labels that start at 0."""

    first_label = 1
    # Step time per image on one thread with ResNet-18 at 256 px: 760 ms in fp32, 464 in bf16, 503 with
    # channels-last.
    hardware_hint: ClassVar[dict[str, Any]] = {"channels_last": False}


class FasterRCNNDetector(PyramidDetector, TwoStageDetector):
    """Ren et al., "Faster R-CNN: towards real-time object detection with region proposal networks" (2015).

    The regions are proposed on a feature pyramid. See `Detector` for inputs and outputs.

    Args:
        num_classes: number of classes, excluding the background.
        backbone: name of the backbone in torchvision.
        levels: stages of the backbone the pyramid is built on; stage k has stride 2^(k + 1).
        channels: number of channels of the pyramid.
        anchor_sizes: anchor sizes in pixels of the resized image, one or several per level and for an
            additional top level.
        aspect_ratios: height-to-width ratios of anchors, used at every level.
        num_proposals: maximum number of regions passed to the second stage.
        rois_per_image: number of regions per image that the second stage is trained on.
        hidden_size: hidden size of the second stage.
        score_thresh: minimum score of a detection.
        nms_thresh: IoU threshold of non-maximum suppression.
        options: see `PyramidDetector`.
    """

    argument_prefix = "box_"

    def __init__(
        self,
        num_classes: Annotated[int, Ge(1)],
        backbone: BackboneName = "resnet50",
        levels: Levels = (1, 2, 3, 4),
        channels: Annotated[int, Gt(0)] = 256,
        anchor_sizes: Sequence[int] | Sequence[Sequence[int]] = (32, 64, 128, 256, 512),
        aspect_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        num_proposals: Annotated[int, Gt(0)] = 1000,
        rois_per_image: Annotated[int, Gt(0)] = 512,
        hidden_size: Annotated[int, Gt(0)] = 1024,
        score_thresh: Fraction = 0.05,
        nms_thresh: Fraction = 0.5,
        **options: Unpack[PyramidOptions],
    ) -> None:
        def architecture(backbone_options: BackboneOptions) -> dict[str, Any]:
            pyramid = feature_pyramid(backbone, list(levels), channels, LastLevelMaxPool(), *backbone_options)
            anchors = make_anchors(anchor_sizes, aspect_ratios, len(levels) + 1)
            names = [str(level) for level in range(len(levels))]
            return {
                "backbone": pyramid,
                "rpn_anchor_generator": anchors,
                "rpn_head": in_float32(RPNHead(channels, anchors.num_anchors_per_location()[0])),
                "rpn_pre_nms_top_n_train": 2 * num_proposals,
                "rpn_pre_nms_top_n_test": num_proposals,
                "rpn_post_nms_top_n_train": 2 * num_proposals,
                "rpn_post_nms_top_n_test": num_proposals,
                "box_roi_pool": MultiScaleRoIAlign(names, RESOLUTION, sampling_ratio=2),
                "box_head": TwoMLPHead(channels * RESOLUTION**2, hidden_size),
                "box_predictor": in_float32(FastRCNNPredictor(hidden_size, num_classes + self.first_label)),
                "box_batch_size_per_image": rois_per_image,
            }

        fits = (channels, hidden_size) == (256, 1024)
        published = PUBLISHED.get((backbone, tuple(levels))) if fits else None
        settings = " and ".join(f"backbone={name} levels={list(stages)}" for name, stages in PUBLISHED)
        settings = f"{settings}, with channels=256 and hidden_size=1024"
        super().__init__(architecture, published, settings, score_thresh, nms_thresh, **options)
