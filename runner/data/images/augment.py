"""Random augmentations of training images that preserve the class."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

__all__ = ["ImageAugment"]

MAX_ASPECT = 4 / 3
ERASED_AREA = (0.02, 0.2)


class ImageAugment:
    """Random crop, flip, rotation, colour jitter and erasing, drawn from torch's global generator.

    Args:
        flip: mirror half of the images, if the data set allows mirroring.
        min_scale: smallest fraction of the area that a random crop shows; 1 resizes the whole image.
        degrees: maximum rotation in either direction, in degrees.
        color: maximum relative change of brightness, contrast and saturation. (Hue is not changed, because
            that would take longer than all other augmentations together.)
        erase: probability of filling a random rectangle with the image's mean colour (Zhong et al. 2020,
            arXiv:1708.04896).
        policy: further augmentations drawn from a list of fourteen: ``rand`` applies ``operations`` of them
            with strength ``magnitude`` (RandAugment, Cubuk et al. 2019); ``trivial`` applies one with random
            strength (TrivialAugment, Müller and Hutter 2021).
        operations: number of augmentations of ``rand``.
        magnitude: strength of the augmentations of ``rand``.
    """

    def __init__(
        self,
        flip: bool = True,
        min_scale: Annotated[float, Gt(0), Le(1)] = 0.5,
        degrees: Annotated[float, Ge(0), Le(180)] = 0.0,
        color: Annotated[float, Ge(0), Le(1)] = 0.0,
        erase: Annotated[float, Ge(0), Le(1)] = 0.0,
        policy: Literal["rand", "trivial"] | None = None,
        operations: Annotated[int, Ge(1)] = 2,
        magnitude: Annotated[int, Ge(0), Le(30)] = 9,
    ) -> None:
        self.policy = {
            "rand": lambda: v2.RandAugment(
                operations, magnitude, interpolation=v2.InterpolationMode.BILINEAR
            ),
            "trivial": lambda: v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR),
            None: lambda: None,
        }[policy]()
        self.flip = flip
        self.min_scale = min_scale
        self.degrees = degrees
        self.color = color
        self.erase = erase

    def __call__(self, image: Tensor, size: int, can_flip: bool = True) -> Tensor:
        """Augments one image.

        Args:
            image: uint8 ``(C, H, W)``.
            size: side of the result, in pixels.
            can_flip: whether mirroring preserves the class (for digits it does not).

        Returns:
            uint8 ``(C, size, size)``.
        """
        image = random_crop(image, size, self.min_scale)
        if self.flip and can_flip and torch.rand(()) < 0.5:
            image = F.horizontal_flip(image)
        if self.degrees:
            angle = uniform(-self.degrees, self.degrees)
            image = F.rotate(image, angle, interpolation=v2.InterpolationMode.BILINEAR)
        if self.color:
            image = random_color(image, self.color)
        if self.policy is not None:
            image = self.policy(image)
        if self.erase and torch.rand(()) < self.erase:
            image = random_erase(image)
        return image


def uniform(low: float, high: float) -> float:
    return low + (high - low) * torch.rand(()).item()


def random_crop(image: Tensor, size: int, min_scale: float) -> Tensor:
    """Crop a random window with an aspect ratio of 3:4 to 4:3 and resize it.

    Szegedy et al. 2015, arXiv:1409.4842.
    """
    height, width = image.shape[-2:]
    if min_scale < 1:
        part, turn, down, right = torch.rand(4).tolist()  # one draw: four cost as much as the crop
        area = height * width * (min_scale + (1 - min_scale) * part)
        aspect = MAX_ASPECT ** (2 * turn - 1)
        crop_width, crop_height = min(width, math.sqrt(area * aspect)), min(height, math.sqrt(area / aspect))
        rows = max(1, round(min(crop_height, crop_width * MAX_ASPECT)))
        columns = max(1, round(min(crop_width, crop_height * MAX_ASPECT)))
        top, left = int(down * (height - rows + 1)), int(right * (width - columns + 1))
        image = image[:, top : top + rows, left : left + columns]
    if image.shape[-2:] == (size, size):
        return image
    return F.resize(image, [size, size], antialias=True)


def random_color(image: Tensor, strength: float) -> Tensor:
    image = F.adjust_brightness(image, uniform(1 - strength, 1 + strength))
    image = F.adjust_contrast(image, uniform(1 - strength, 1 + strength))
    if image.shape[0] == 3:
        image = F.adjust_saturation(image, uniform(1 - strength, 1 + strength))
    return image


def random_erase(image: Tensor) -> Tensor:
    rows, columns = erasing(*image.shape[-2:])
    image = image.clone()
    mean = image.float().mean((1, 2)).to(image.dtype)
    image[:, rows, columns] = mean[:, None, None]
    return image


def erasing(height: int, width: int) -> tuple[slice, slice]:
    """Return the rows and columns of a random rectangle in an image."""
    area = height * width * uniform(*ERASED_AREA)
    aspect = math.exp(uniform(-math.log(3), math.log(3)))
    rows = min(height, max(1, round(math.sqrt(area / aspect))))
    columns = min(width, max(1, round(math.sqrt(area * aspect))))
    top = int(torch.randint(height - rows + 1, ()))
    left = int(torch.randint(width - columns + 1, ()))
    return slice(top, top + rows), slice(left, left + columns)
