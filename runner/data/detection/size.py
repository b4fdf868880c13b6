"""Typical image sizes of a data set."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from runner.data.detection.table import BoxTable
from runner.data.images.decode import decode_image

__all__ = ["usual_sides", "wrong_sizes"]

MAX_SHORTER, MAX_LONGER = 800, 1333
"""Size above which detectors no longer gain from larger images (Lin et al. 2016, arXiv:1612.03144)."""
NUM_OPENED = 200
ORIENTATION = 274
"""EXIF's tag; its values 5 to 8 swap width and height."""


def usual_sides(root: Path, table: BoxTable, positions: Sequence[int]) -> tuple[int, int]:
    """Returns the median of the shorter sides and the maximum of the longer sides of the images.

    Up to 200 images whose annotation states no size are opened, but not decoded.
    """
    sizes = table.sizes[list(positions)]
    sizes = sizes[(sizes > 0).all(1)]
    if not len(sizes):
        chosen = [
            positions[i]
            for i in np.linspace(0, len(positions) - 1, min(len(positions), NUM_OPENED)).astype(int)
        ]
        found = [size for size in (size_of(root / table.paths[i]) for i in chosen) if size is not None]
        sizes = np.array(found or [(MAX_SHORTER, MAX_LONGER)])
    shorter = min(MAX_SHORTER, int(np.median(sizes.min(1))))
    return shorter, max(shorter, min(MAX_LONGER, int(sizes.max())))


def size_of(path: Path) -> tuple[int, int] | None:
    """Returns width and height; None for a file that is not an image (it is reported when it is decoded)."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def wrong_sizes(root: Path, table: BoxTable, missing: Collection[int] = ()) -> dict[int, str]:
    """Returns the positions of the images whose size differs from their annotation, with both sizes.

    The size of an image is the one after the rotation that its EXIF orientation asks for, because training sees the
    image so. An annotation with the size before the rotation is wrong too: its boxes may refer to the stored or to the
    rotated pixels, and tools write both. Files that cannot be read are skipped; they are reported when their pixels are read.
    """
    stated = (table.sizes > 0).all(1)
    wrong = {}
    for position in np.flatnonzero(stated).tolist():
        if position in missing:
            continue
        width, height = table.sizes[position].tolist()
        stored, shown = sizes_of(root / table.paths[position])
        if shown in (None, (width, height)):
            continue
        words = f"{shown[0]} × {shown[1]} pixels, annotated as {width} × {height}"
        if stored != shown and stored == (width, height):
            words = (
                f"{shown[0]} × {shown[1]} pixels once rotated by its EXIF orientation, annotated as {width} × {height}, "
                "its size before; its boxes may refer to either"
            )
        wrong[position] = words
    return wrong


def sizes_of(path: Path) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Returns width and height as stored, and as displayed; None for an unreadable file."""
    try:
        with Image.open(path) as image:
            stored, rotated = image.size, image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        if not rotated:
            return stored, stored
        height, width = decode_image(path.read_bytes()).shape[-2:]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None, None
    return (height, width), (width, height)
