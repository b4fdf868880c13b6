"""Pairs of image and mask files as the source of splits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn
from torchvision.transforms.v2 import functional as F

from runner.data.images.decode import read_image
from runner.data.segmentation.layout import Pair
from runner.data.segmentation.mask_file import MaskReader
from runner.data.segmentation.mask_set import PairHeaders, turned_upright
from runner.data.segmentation.transform import resized
from runner.errors import BrokenSampleError

__all__ = ["MaskFileSource", "shrunk"]


class MaskFileSource:
    """Pairs of files, decoded lazily and not cached.

    Args:
        root: the folder that the paths are relative to.
        pairs: paths of images and masks.
        reader: reads the masks.
        max_side: longer sides are scaled down to this length, in pixels; None keeps the size.
        headers: result of the header comparison; None if the headers were not compared.
        max_value: white in images with more than eight bits; see ``runner.data.images.decode``.
    """

    def __init__(
        self,
        root: Path,
        pairs: Sequence[Pair],
        reader: MaskReader,
        max_side: int | None = None,
        headers: PairHeaders | None = None,
        max_value: float | None = None,
    ) -> None:
        self.root = root
        self.pairs = list(pairs)
        self.reader = reader
        self.max_side = max_side
        self.headers = headers or PairHeaders()
        self.max_value = max_value

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the image, uint8 ``(3, H, W)``, and its mask, uint8 ``(H, W)``.

        Raises:
            BrokenSampleError: a file cannot be read, the two differ in size or orientation, or the mask has
                values of no class.
        """
        name = self.pairs[index][0]
        image_path, mask_path = (self.root / path for path in self.pairs[index])
        image, mask = read_image(image_path, self.max_value), self.reader.read(mask_path)
        if name in self.headers.faults:
            raise BrokenSampleError(self.headers.faults[name])
        mask = turned_upright(mask, self.headers.turns.get(name, 1))
        if name in self.headers.scaled:
            mask = scaled_mask(mask, image.shape[1:])
        if image.shape[1:] != mask.shape:
            (height, width), (mask_height, mask_width) = image.shape[1:], mask.shape
            raise BrokenSampleError(
                f"{image_path} has {width} × {height} pixels, but its mask {mask_path.name} {mask_width} × "
                f"{mask_height}. Was one of them resized, or rotated (EXIF)?"
            )
        return resized(image, mask, shrunk_size(mask.shape, self.max_side))

    def name(self, index: int) -> str:
        return self.pairs[index][0]


def scaled_mask(mask: Tensor, size: Sequence[int]) -> Tensor:
    """Scale a mask ``(H, W)`` to another size; each pixel takes the class of the nearest one."""
    scaled = nn.functional.interpolate(mask[None, None].float(), tuple(size), mode="nearest-exact")
    return scaled[0, 0].to(mask.dtype)


def shrunk_size(size: Sequence[int], max_side: int | None) -> tuple[int, int]:
    """Return height and width after scaling down to ``max_side``."""
    height, width = size
    if max_side is None or max(height, width) <= max_side:
        return height, width
    factor = max_side / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def shrunk(image: Tensor, max_side: int | None) -> Tensor:
    """Scale an image ``(C, H, W)`` down to ``max_side``."""
    size = shrunk_size(image.shape[1:], max_side)
    return image if image.shape[1:] == size else F.resize(image, list(size), antialias=True)
