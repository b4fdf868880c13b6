"""Random augmentation of training images together with their masks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from runner.data.images.augment import ImageAugment, erasing, random_color, uniform
from runner.data.segmentation.batch import IGNORE, MEAN_COLOR, pad

__all__ = ["MaskAugment", "resized"]

FLIP_PROBABILITY = 0.5


class MaskAugment:
    """The augmentations of an ``ImageAugment``, for images with masks.

    The random crop becomes a window of fixed size on the randomly scaled image: between ``min_scale`` and its
    inverse in area, so that objects have on average the same size as in evaluation. Pixels outside of the
    image and erased pixels are ignored.

    Args:
        augment: the augmentations and their strengths.
        size: height and width of the result, in pixels.
        can_flip: whether images may be mirrored.
    """

    def __init__(self, augment: ImageAugment, size: Sequence[int], can_flip: bool = True) -> None:
        self.augment = augment
        self.size = (size[0], size[1])
        self.can_flip = can_flip

    def __call__(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Augment one image, uint8 ``(3, H, W)``, and its mask, uint8 ``(H, W)``."""
        augment = self.augment
        zoom = math.exp(uniform(math.log(augment.min_scale), -math.log(augment.min_scale)) / 2)
        image, mask = window(image, mask, self.size, zoom)
        if augment.flip and self.can_flip and torch.rand(()) < FLIP_PROBABILITY:
            image, mask = F.horizontal_flip(image), F.horizontal_flip(mask)
        if augment.degrees:
            angle = uniform(-augment.degrees, augment.degrees)
            bilinear = v2.InterpolationMode.BILINEAR
            image = F.rotate(image, angle, interpolation=bilinear, fill=list(MEAN_COLOR))
            mask = F.rotate(mask[None], angle, fill=[IGNORE])[0]
        if augment.color:
            image = random_color(image, augment.color)
        if augment.erase and torch.rand(()) < augment.erase:
            image, mask = image.clone(), mask.clone()
            rows, columns = erasing(*mask.shape)
            image[:, rows, columns] = image.float().mean((1, 2)).to(image.dtype)[:, None, None]
            mask[rows, columns] = IGNORE
        return image, mask


def window(image: Tensor, mask: Tensor, size: tuple[int, int], zoom: float) -> tuple[Tensor, Tensor]:
    """Cut a random window of a given size from the image enlarged by ``zoom``.

    Only the visible part is resized.
    """
    sides = [max(1, round(side / zoom)) for side in size]
    offsets = [
        int(torch.rand(()) * (abs(have - need) + 1)) for have, need in zip(mask.shape, sides, strict=True)
    ]
    crop, padding = [], []
    for offset, have, need in zip(offsets, mask.shape, sides, strict=True):
        crop.append(offset if have > need else 0)
        padding.append(offset if have < need else 0)
    inside = tuple(slice(begin, begin + need) for begin, need in zip(crop, sides, strict=True))
    image, mask = image[:, *inside], mask[inside]
    return resized(*pad(image, mask, *sides, *padding), size)


def resized(image: Tensor, mask: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Resize an image and its mask; the mask by nearest neighbour."""
    if mask.shape == tuple(size):
        return image, mask
    nearest = v2.InterpolationMode.NEAREST_EXACT
    return F.resize(image, list(size), antialias=True), F.resize(
        mask[None], list(size), interpolation=nearest
    )[0]
