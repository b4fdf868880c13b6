"""Labelled image files as the source of splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor
from torchvision.transforms.v2 import functional as F

from runner.data.images.decode import read_image

__all__ = ["ImageFileSource", "ImageFitter"]


class ImageFileSource:
    """Image files of any size, decoded lazily.

    Args:
        root: the folder that the paths are relative to.
        paths: paths of the files.
        targets: class ids, ``(N,)``.
        max_value: white in images with more than eight bits; see ``runner.data.images.decode``.
    """

    def __init__(
        self, root: Path, paths: Sequence[str], targets: Tensor, max_value: float | None = None
    ) -> None:
        self.root = root
        self.paths = list(paths)
        self.targets = targets
        self.max_value = max_value

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the image, uint8 ``(3, H, W)``, and its class id.

        Raises:
            BrokenSampleError: the file cannot be read; the message names it.
        """
        return read_image(self.root / self.paths[index], self.max_value), self.targets[index]

    def name(self, index: int) -> str:
        return self.paths[index]


class ImageFitter:
    """Deterministic conversion of images to squares, for validation, test and prediction.

    Args:
        size: side of the square, in pixels.
        fit: ``crop`` keeps the aspect ratio and crops the centre; ``squeeze`` resizes the whole image.
        crop_fraction: fraction of the shorter side that ``crop`` shows.
    """

    def __init__(
        self, size: int, fit: Literal["crop", "squeeze"] = "crop", crop_fraction: float = 0.875
    ) -> None:
        self.size = size
        self.fit = fit
        self.crop_fraction = crop_fraction

    def __call__(self, image: Tensor, target: Any = None) -> tuple[Tensor, Any]:
        """Resize an image, ``(C, H, W)`` → ``(C, size, size)``."""
        if self.fit == "crop":
            height, width = image.shape[-2:]
            side = max(1, round(min(height, width) * self.crop_fraction))
            top, left = (height - side) // 2, (width - side) // 2
            image = image[:, top : top + side, left : left + side]
        if image.shape[-2:] != (self.size, self.size):
            image = F.resize(image, [self.size, self.size], antialias=True)
        return image, target
