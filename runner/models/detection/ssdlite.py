"""SSDLite, a one-stage detector for mobile devices with separable convolutions and a fixed image size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Unpack

from annotated_types import Ge, Gt, Le
from torch import nn
from torchvision.models.detection._utils import retrieve_out_channels
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteFeatureExtractorMobileNet, SSDLiteHead

from runner.errors import UserError
from runner.models.detection.backbone import freeze, load_classifier, stages_of
from runner.models.detection.detector import (
    BackboneOptions,
    Detector,
    DetectorOptions,
    Float32DefaultBoxes,
    TorchvisionDetector,
    in_float32,
)

__all__ = ["SSDLiteDetector"]

NUM_LEVELS = 6
Fraction = Annotated[float, Ge(0), Le(1)]


class LiteDetector(Detector, SSD):
    """torchvision's SSD with labels that start at 0."""

    first_label = 1
    # Step time per image on one thread at 320 px: 167 ms in fp32, 113 with channels-last, 139 with
    # channels-last in bf16.
    hardware_hint: ClassVar[dict[str, Any]] = {"precision": "32", "channels_last": True}


class SSDLiteDetector(TorchvisionDetector, LiteDetector):
    """Sandler et al., "MobileNetV2" (2018), and Howard et al., "Searching for MobileNetV3" (2019).

    A light version of Liu et al., "SSD: single shot multibox detector" (2015). See `Detector` for inputs and
    outputs.

    Args:
        num_classes: number of classes, excluding the background.
        backbone: name of the backbone in torchvision.
        tail: the last layers of MobileNetV3 with all channels, as in ImageNet weights, or half of them, as in
            the published detector and its COCO weights. MobileNetV2 only has the full tail.
        size: side of the square that every image is resized to, in pixels.
        aspect_ratios: aspect ratios of anchors, used in both orientations in addition to square anchors.
        smallest, largest: anchor sizes of the first and last of the six levels, as fractions of the image's
            side.
        score_thresh: minimum score of a detection.
        nms_thresh: IoU threshold of non-maximum suppression.
        options: see `TorchvisionDetector`.
    """

    def __init__(
        self,
        num_classes: Annotated[int, Ge(1)],
        backbone: Literal["mobilenet_v2", "mobilenet_v3_large"] = "mobilenet_v3_large",
        tail: Literal["full", "reduced"] = "reduced",
        size: Annotated[int, Ge(64)] = 320,
        aspect_ratios: Sequence[float] = (2.0, 3.0),
        smallest: Annotated[float, Gt(0), Le(1)] = 0.2,
        largest: Annotated[float, Gt(0), Le(1)] = 0.95,
        score_thresh: Fraction = 0.01,
        nms_thresh: Fraction = 0.55,
        **options: Unpack[DetectorOptions],
    ) -> None:
        if smallest >= largest:
            raise UserError(f"smallest={smallest} is not below largest={largest}.")
        reduced = backbone == "mobilenet_v3_large" and tail == "reduced"

        def architecture(backbone_options: BackboneOptions) -> dict[str, Any]:
            if reduced and (backbone_options.pretrained or backbone_options.weights):
                raise UserError(
                    "The weights of a MobileNetV3 classifier require tail=full. Add model.tail=full."
                )
            tail_option = {"reduced_tail": True} if reduced else {}
            classifier = load_classifier(
                backbone, backbone_options.pretrained, backbone_options.weights, **tail_option
            )
            features = lite_features(
                classifier,
                backbone_options.num_trained,
                backbone_options.has_weights,
                backbone_options.still_norm,
            )
            ratios = [list(aspect_ratios)] * NUM_LEVELS
            boxes = Float32DefaultBoxes(ratios, min_ratio=smallest, max_ratio=largest)
            widths = retrieve_out_channels(features, (size, size))
            num_labels = num_classes + self.first_label
            head = SSDLiteHead(widths, boxes.num_anchors_per_location(), num_labels, norm_layer())
            return {
                "backbone": features,
                "anchor_generator": boxes,
                "size": (size, size),
                "num_classes": num_labels,
                "image_mean": [0.5, 0.5, 0.5] if reduced else None,  # None: ImageNet, as for classifiers
                "image_std": [0.5, 0.5, 0.5] if reduced else None,
                "head": in_float32(head),
                "topk_candidates": 300,
            }

        published = "ssdlite320_mobilenet_v3_large" if reduced else None
        settings = "backbone=mobilenet_v3_large tail=reduced"
        super().__init__(architecture, published, settings, score_thresh, nms_thresh, **options)


def norm_layer() -> partial[nn.BatchNorm2d]:
    """Return the constructor of the batch norms of the published detector."""
    return partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)


def lite_features(
    classifier: nn.Module, num_trained: int | None, has_weights: bool, still_norm: bool | None
) -> SSDLiteFeatureExtractorMobileNet:
    """Build six levels from 1/16 of the image size: two from the backbone and four additional ones."""
    module, stages = stages_of(classifier)
    freeze(module, stages, num_trained, has_weights, still_norm)
    body: Any = module
    last_strided = int(stages[-2])
    block = body[last_strided]
    if not hasattr(block, "block"):  # torchvision 0.29's MobileNetV2 uses another name
        block.block = block.conv
    return SSDLiteFeatureExtractorMobileNet(body, last_strided, norm_layer())
