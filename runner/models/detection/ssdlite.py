"""SSDLite, a one-stage detector for mobile devices with separable convolutions and a fixed image size."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from torch import nn
from torchvision.models.detection._utils import retrieve_out_channels
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteFeatureExtractorMobileNet, SSDLiteHead

from runner.errors import UserError
from runner.models.detection.backbone import freeze_first_stages, keep_norms_still, load_classifier, stages_of
from runner.models.detection.detector import Detector, ExactDefaultBoxes, in_float32, load_coco_weights

__all__ = ["ssdlite"]

NUM_LEVELS = 6
Fraction = Annotated[float, Ge(0), Le(1)]


class LiteDetector(Detector, SSD):
    first_label = 1
    # Step time per image on one thread at 320 px: 167 ms in fp32, 113 with channels-last, 139 with
    # channels-last in bf16.
    hardware_hint = {"precision": "32", "channels_last": True}


def ssdlite(
    num_classes: Annotated[int, Ge(1)],
    backbone: Literal["mobilenet_v2", "mobilenet_v3_large"] = "mobilenet_v3_large",
    tail: Literal["full", "reduced"] = "reduced",
    size: Annotated[int, Ge(64)] = 320,
    aspect_ratios: list[float] = (2.0, 3.0),
    smallest: Annotated[float, Gt(0), Le(1)] = 0.2,
    largest: Annotated[float, Gt(0), Le(1)] = 0.95,
    pretrained: bool = False,
    pretrained_backbone: bool = False,
    backbone_weights: str | None = None,
    trainable_backbone_layers: Annotated[int, Ge(0)] | None = None,
    still_norm: bool | None = None,
    score_thresh: Fraction = 0.01,
    nms_thresh: Fraction = 0.55,
    detections_per_img: Annotated[int, Gt(0)] = 100,
) -> nn.Module:
    """Sandler et al., "MobileNetV2" (2018), and Howard et al., "Searching for MobileNetV3" (2019), after Liu
    et al., "SSD: single shot multibox detector" (2015). See `Detector` for inputs and outputs.

    Args:
        num_classes: number of classes, excluding the background.
        tail: the last layers of MobileNetV3 with all channels, as in ImageNet weights, or half of them, as in
            the published detector and its COCO weights. MobileNetV2 only has the full tail.
        size: side of the square that every image is resized to, in pixels.
        aspect_ratios: aspect ratios of anchors, used in both orientations in addition to square anchors.
        smallest, largest: anchor sizes of the first and last of the six levels, as fractions of the image's
            side.
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
    if smallest >= largest:
        raise UserError(f"smallest={smallest} is not below largest={largest}.")
    reduced = backbone == "mobilenet_v3_large" and tail == "reduced"
    if reduced and (pretrained_backbone or backbone_weights):
        raise UserError("The weights of a MobileNetV3 classifier require tail=full. Add model.tail=full.")
    options = {"reduced_tail": True} if reduced else {}
    classifier = load_classifier(backbone, pretrained_backbone, backbone_weights, **options)
    has_weights = pretrained or pretrained_backbone or bool(backbone_weights)
    features = lite_features(classifier, trainable_backbone_layers, has_weights, still_norm)
    boxes = ExactDefaultBoxes([list(aspect_ratios)] * NUM_LEVELS, min_ratio=smallest, max_ratio=largest)
    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    widths = retrieve_out_channels(features, (size, size))
    head = SSDLiteHead(widths, boxes.num_anchors_per_location(), num_classes + LiteDetector.first_label, norm)
    model = LiteDetector(
        features,
        boxes,
        (size, size),
        num_classes + LiteDetector.first_label,
        image_mean=[0.5, 0.5, 0.5] if reduced else None,  # None: ImageNet statistics, as for classifiers
        image_std=[0.5, 0.5, 0.5] if reduced else None,
        head=in_float32(head),
        score_thresh=score_thresh,
        nms_thresh=nms_thresh,
        detections_per_img=detections_per_img,
        topk_candidates=300,
    )
    if pretrained:
        published = "ssdlite320_mobilenet_v3_large" if reduced else None
        load_coco_weights(model, published, "backbone=mobilenet_v3_large tail=reduced")
    return model


def lite_features(
    classifier: nn.Module, num_trained: int | None, has_weights: bool, still_norm: bool | None
) -> SSDLiteFeatureExtractorMobileNet:
    """Builds six levels, starting at 1/16 of the image size: two from the backbone and four additional
    ones.
    """
    body, stages = stages_of(classifier)
    freeze_first_stages(body, stages, num_trained, has_weights)
    if still_norm or (still_norm is None and has_weights):
        keep_norms_still(body)
    last_strided = int(stages[-2])
    block = body[last_strided]
    if not hasattr(block, "block"):  # MobileNetV2 uses another name
        block.block = block.conv
    return SSDLiteFeatureExtractorMobileNet(
        body, last_strided, partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    )
