"""Checks of the value range of images with more than eight bits."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from runner.data.images.decode import FORMATS
from runner.data.images.depth import SIXTEEN_BITS, deep_color, is_deep, is_deep_color, to_eight_bits
from runner.errors import DataError

__all__ = ["brightness_note", "look_at_brightness"]

NUM_LOOKED_AT = 50
NUM_THREADS = 8
COMMON_DEPTHS = (8, 9, 10, 11, 12, 13, 14)


@dataclass(frozen=True)
class Brightness:
    """The smallest and the largest value of an image with more than eight bits, or a fault of its values."""

    path: str
    low: float
    high: float
    fault: str = ""


def look_at_brightness(
    root: Path, paths: Sequence[str], max_value: float | None, most: int = NUM_LOOKED_AT
) -> str | None:
    """Return a warning if images would keep few of their grey levels after scaling, else None.

    Args:
        root: the folder that the paths are relative to.
        paths: paths of the images.
        max_value: white in images with more than eight bits; see ``runner.data.images.decode``.
        most: maximum number of images to read, evenly spread.

    Raises:
        DataError: an image has values outside of the range, or of an unknown range.
    """
    chosen = list(paths[:: max(1, -(-len(paths) // most))]) if paths else []
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        deep = [
            entry
            for entry in pool.map(lambda path: measure(root, path, max_value), chosen)
            if entry is not None
        ]
    faulty = [entry for entry in deep if entry.fault]
    if faulty:
        more = (
            f" {len(faulty) - 1} more of the {len(chosen)} images that were examined have such a fault."
            if faulty[1:]
            else ""
        )
        raise DataError(f"{root / faulty[0].path} cannot be read: {faulty[0].fault}.{more}")
    return brightness_note(max(entry.high for entry in deep), len(deep), max_value) if deep else None


def measure(root: Path, path: str, max_value: float | None) -> Brightness | None:
    """Return the brightness; None for images with eight bits and for unreadable files, reported elsewhere."""
    try:
        with Image.open(root / path, formats=FORMATS) as image:
            values = deep_values(image, root / path)
    except Exception:  # decoders raise a dozen types for damaged bytes
        return None
    if values is None:
        return None
    try:
        to_eight_bits(values, max_value)  # checks the range
    except ValueError as error:
        return Brightness(path, 0, 0, str(error))
    return Brightness(path, float(values.min()), float(values.max()))


def deep_values(image: Image.Image, path: Path) -> np.ndarray | None:
    if is_deep(image):
        image.load()
        return np.asarray(ImageOps.exif_transpose(image))
    if image.format == "PNG":
        content = path.read_bytes()
        return deep_color(image, content) if is_deep_color(image, content) else None
    return None


def brightness_note(highest: float, count: int, max_value: float | None) -> str | None:
    """Return a warning if the largest value ``highest`` of ``count`` images is far below white."""
    white = SIXTEEN_BITS if max_value is None else max_value
    if max_value is not None or highest > 2 ** COMMON_DEPTHS[-1] - 1:
        return None
    bits = next(depth for depth in COMMON_DEPTHS if highest <= 2**depth - 1)
    return (
        f"The brightest value of the {count} 16-bit images that were examined is {highest:g} of {white}. "
        f"With this scale, at most {round(highest * 255 / white) + 1} of 256 grey levels are left. If white "
        f"is {2**bits - 1} ({bits} bits), give data.max_value={2**bits - 1}."
    )
