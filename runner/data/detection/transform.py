"""Random augmentation of training images together with their boxes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F
from torchvision.tv_tensors import BoundingBoxes, Image

from runner.data.detection.source import make_target
from runner.data.images.augment import ImageAugment, random_color, random_erase, uniform

__all__ = ["BoxAugment", "without_crowd"]

MIN_SIDE_PX = 2
"""Minimum size of the visible part of an object after a crop."""
PROBABILITY = 0.5
VISIBLE = [0.0, 0.1, 0.3, 0.5, 1.0]
"""Minimum IoU of a crop with its most visible object; 1 keeps the whole image.

Each attempt takes 0.3 ms, and attempts for more than 0.5 usually fail.
"""


def without_crowd(image: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Remove crowds and difficult objects from a training sample, and convert its boxes to float32."""
    target = target | {"boxes": target["boxes"].float()}
    if not target["iscrowd"].any():
        return image, target
    return image, {key: value[~target["iscrowd"]] for key, value in target.items()}


class BoxAugment:
    """The augmentations of an ``ImageAugment``, for images with boxes.

    Its random crop becomes a zoom: half of the images are placed on a larger grey canvas, and each is cropped
    such that objects remain visible (Liu et al. 2015, arXiv:1512.02325). This changes the size of the image;
    torchvision's detectors resize images themselves.

    Args:
        augment: the augmentations and their strengths. ``min_scale`` limits the zoom, in area.
        can_flip: whether mirroring preserves the class of an object.
    """

    def __init__(self, augment: ImageAugment, can_flip: bool = True) -> None:
        self.augment = augment
        self.can_flip = can_flip
        side = math.sqrt(augment.min_scale)
        self.zoom_out = (
            v2.RandomZoomOut(fill=114, side_range=(1.0, 1 / side), p=PROBABILITY) if side < 1 else None
        )
        self.crop = v2.RandomIoUCrop(min_scale=side, sampler_options=VISIBLE, trials=5) if side < 1 else None

    def __call__(self, image: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Augment one image, uint8 ``(3, H, W)``, and its target."""
        image, target = without_crowd(image, target)
        boxes = BoundingBoxes(target["boxes"], format="XYXY", canvas_size=image.shape[-2:])
        sample: dict[str, Any] = {"image": Image(image), "boxes": boxes, "labels": target["labels"]}
        if self.zoom_out is not None:
            sample = self.zoom_out(sample)
        if self.crop is not None and len(boxes):
            sample = self.crop(sample)
        if self.augment.flip and self.can_flip and torch.rand(()) < PROBABILITY:
            sample = v2.RandomHorizontalFlip(p=1.0)(sample)
        if self.augment.degrees:
            sample = rotate(sample, uniform(-self.augment.degrees, self.augment.degrees))
        image = sample["image"].as_subclass(Tensor)
        if self.augment.color:
            image = random_color(image, self.augment.color)
        if self.augment.erase and torch.rand(()) < self.augment.erase:
            image = random_erase(image)
        height, width = image.shape[-2:]
        return image, visible(sample["boxes"].as_subclass(Tensor), sample["labels"], height, width)


def rotate(sample: dict[str, Any], degrees: float) -> dict[str, Any]:
    """Rotate an image about its centre; boxes become the smallest upright boxes around the rotated ones."""
    mode = v2.InterpolationMode.BILINEAR
    rotated = F.rotate(sample["image"], degrees, interpolation=mode, fill=114)
    return sample | {"image": rotated, "boxes": F.rotate(sample["boxes"], degrees)}


def visible(boxes: Tensor, labels: Tensor, height: int, width: int) -> dict[str, Tensor]:
    """Return the targets that remain inside an image."""
    limits = torch.tensor([width, height, width, height], dtype=boxes.dtype)
    boxes = boxes.clamp(min=0).minimum(limits)
    kept = (boxes[:, 2:] - boxes[:, :2] >= MIN_SIDE_PX).all(1)
    target = make_target(boxes[kept], labels[kept])
    return target | {"boxes": target["boxes"].float()}
