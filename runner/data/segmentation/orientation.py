"""Comparison of the headers of images and masks: sizes and EXIF orientations."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

from runner.data.images.header import ImageHeader, read_header
from runner.data.segmentation.layout import Pair

__all__ = ["MaskOrientation", "PairHeaders", "compare_headers", "turned_upright"]

NUM_THREADS = 8

MaskOrientation = Literal["auto", "upright", "stored"]


@dataclass
class PairHeaders:
    """Results of the header comparison, by the path of the image relative to the root.

    Attributes:
        faults: messages for pairs that cannot be used.
        turns: EXIF orientations that must be applied to masks as well as to their images.
    """

    faults: dict[str, str] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)


def compare_headers(root: Path, pairs: Sequence[Pair], masks_are: MaskOrientation = "auto") -> PairHeaders:
    """Compares the headers of all pairs; no pixels are decoded. Unreadable files are skipped.

    Args:
        masks_are: orientation of masks without an EXIF orientation if their image has one: ``upright`` like the rotated
            image, or ``stored`` like the stored pixels, so that the mask is rotated too. ``auto`` decides by the sizes
            and reports the pairs for which both would fit.
    """
    found = PairHeaders()

    def both(pair: Pair) -> tuple[ImageHeader | None, ImageHeader | None]:
        return read_header(root / pair[0]), read_header(root / pair[1])

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for pair, (image, mask) in zip(pairs, pool.map(both, pairs), strict=True):
            if image is not None and mask is not None:
                compare(found, root, pair, image, mask, masks_are)
    return found


def compare(
    found: PairHeaders,
    root: Path,
    pair: Pair,
    image: ImageHeader,
    mask: ImageHeader,
    masks_are: MaskOrientation,
) -> None:
    image_path, mask_path = root / pair[0], root / pair[1]
    has_choice = image.orientation != 1 and mask.orientation == 1
    fits_upright, fits_stored = mask.size == image.size, has_choice and mask.size == image.stored_size
    if masks_are == "stored" and has_choice:
        fits_upright = False
    elif masks_are == "upright":
        fits_stored = False
    if fits_upright and fits_stored:
        found.faults[pair[0]] = (
            f"{image_path} is turned by its EXIF orientation ({image.orientation}), and its mask {mask_path.name} has none. If "
            "the mask was drawn on the upright image, give data.mask_orientation=upright; if on the pixels as they are "
            "stored, give data.mask_orientation=stored, which turns the mask too."
        )
    elif fits_stored:
        found.turns[pair[0]] = image.orientation
    elif not fits_upright:
        found.faults[pair[0]] = (
            f"{image_path} has {image.width} × {image.height} pixels, but its mask {mask_path.name} {mask.width} × "
            f"{mask.height}. Was one of them resized, or turned (EXIF)?"
        )


def turned_upright(mask: Tensor, orientation: int) -> Tensor:
    """Applies an EXIF orientation to a stored mask ``(H, W)``."""
    turns = {
        2: lambda: mask.flip(1),
        3: lambda: mask.flip(0, 1),
        4: lambda: mask.flip(0),
        5: lambda: mask.T,
        6: lambda: mask.rot90(-1),
        7: lambda: mask.T.flip(0, 1),
        8: lambda: mask.rot90(1),
    }
    return turns[orientation]().contiguous() if orientation in turns else mask
