"""RetinaNet, a one-stage detector with dense anchors and a focal loss that down-weights easy background."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Unpack

from annotated_types import Ge, Gt, Le
from torch import nn
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from runner.errors import UserError
from runner.models.detection.backbone import BackboneName, Levels, feature_pyramid, make_anchors
from runner.models.detection.detector import (
    BackboneOptions,
    Detector,
    PyramidDetector,
    PyramidOptions,
    in_float32,
)

__all__ = ["RetinaNetDetector"]

NUM_GROUPS = 32
OCTAVE = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
Fraction = Annotated[float, Ge(0), Le(1)]


class AnchorDetector(Detector, RetinaNet):
    """torchvision's RetinaNet with the interface of `Detector`; it has no background class."""


class RetinaNetDetector(PyramidDetector, AnchorDetector):
    """Lin et al., "Focal loss for dense object detection" (2017).

    It has one sigmoid per class and no background class, so internal labels start at 0, too. See `Detector`
    for inputs and outputs.

    Args:
        num_classes: number of classes, excluding the background.
        backbone: name of the backbone in torchvision.
        levels: stages of the backbone the pyramid is built on; stage k has stride 2^(k + 1).
            Two more levels are added on top.
        channels: number of channels of pyramid and head.
        group_norm: add group norms between the head's layers. The paper uses none, but without pretrained
            weights the head hardly learns without them.
        anchor_sizes: anchor sizes in pixels of the resized image, one per level; two more sizes, a third of
            an octave apart, are added to each.
        aspect_ratios: height-to-width ratios of anchors, used at every level.
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
        group_norm: bool = False,
        anchor_sizes: Sequence[int] = (32, 64, 128, 256, 512),
        aspect_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        score_thresh: Fraction = 0.05,
        nms_thresh: Fraction = 0.5,
        **options: Unpack[PyramidOptions],
    ) -> None:
        def architecture(backbone_options: BackboneOptions) -> dict[str, Any]:
            extra = LastLevelP6P7(channels, channels)
            pyramid = feature_pyramid(backbone, list(levels), channels, extra, *backbone_options)
            sizes = [[int(size * step) for step in OCTAVE] for size in anchor_sizes]
            anchors = make_anchors(sizes, aspect_ratios, len(levels) + 2)
            if group_norm and channels % NUM_GROUPS:
                raise UserError(
                    f"channels={channels}: expected a multiple of {NUM_GROUPS}, for the head's group norms."
                )
            norm = partial(nn.GroupNorm, NUM_GROUPS) if group_norm else None
            head = RetinaNetHead(channels, anchors.num_anchors_per_location()[0], num_classes, norm)
            return {
                "backbone": pyramid,
                "num_classes": num_classes,
                "anchor_generator": anchors,
                "head": in_float32(head),
            }

        fits = (backbone, tuple(levels), channels, group_norm) == ("resnet50", (2, 3, 4), 256, False)
        published = "retinanet_resnet50_fpn" if fits else None
        settings = "backbone=resnet50 levels=[2, 3, 4] channels=256 group_norm=false"
        super().__init__(architecture, published, settings, score_thresh, nms_thresh, **options)
