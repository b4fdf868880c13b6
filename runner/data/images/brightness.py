"""The value of white in images with more than eight bits that use a part of their value range."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageOps

from runner.data.images.decode import FORMATS
from runner.data.images.depth import SIXTEEN_BITS, deep_color, is_deep, is_deep_color, to_eight_bits
from runner.errors import DataError

__all__ = ["WhiteLevel", "find_white"]

logger = logging.getLogger(__name__)

NUM_LOOKED_AT = 50
NUM_THREADS = 8
COMMON_DEPTHS = (8, 10, 12, 14)


@dataclass(frozen=True)
class Brightness:
    """The smallest and the largest value of an image with more than eight bits, or a fault of its values."""

    path: Path
    low: float
    high: float
    fault: str = ""


def find_white(
    files: Sequence[Path], max_value: float | None, most: int = NUM_LOOKED_AT
) -> tuple[float | None, str | None]:
    """Find the range of images that use a part of their bits, such as 12-bit images in 16-bit files.

    Some images are examined first, and all of them only if these use a part of the range.

    Args:
        files: the images.
        max_value: the value of white if it is known; the images are then only checked.
        most: number of images that are examined first, evenly spread.

    Returns:
        The value of white and a message; None and None if the images use the whole range or have eight bits.

    Raises:
        DataError: an image has values outside of the range, or of an unknown range.
    """
    chosen = list(files[:: max(1, -(-len(files) // most))]) if files else []
    deep = measure_all(chosen, max_value)
    if max_value is not None or not deep or bits_of(deep) is None:
        return None, None
    if len(chosen) < len(files):
        deep = measure_all(files, max_value)
    bits = bits_of(deep)
    if bits is None:
        return None, None
    white = 2**bits - 1
    return white, (
        f"The brightest value of the {len(deep)} images with 16 bits per channel is {highest_of(deep):g} of "
        f"{SIXTEEN_BITS}: they are read as {bits}-bit images, in which {white} is white. If white has "
        "another "
        "value, give it with data.max_value."
    )


def measure_all(files: Sequence[Path], max_value: float | None) -> list[Brightness]:
    """Measure the images with more than eight bits.

    Raises:
        DataError: an image has values outside of the range, or of an unknown range.
    """
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        entries = pool.map(lambda file: measure(file, max_value), files)
        deep = [entry for entry in entries if entry is not None]
    faulty = [entry for entry in deep if entry.fault]
    if faulty:
        more = (
            f" {len(faulty) - 1} more of the {len(files)} images that were examined have such a fault."
            if faulty[1:]
            else ""
        )
        raise DataError(f"{faulty[0].path} cannot be read: {faulty[0].fault}.{more}")
    return deep


def highest_of(deep: Sequence[Brightness]) -> float:
    return max(entry.high for entry in deep)


def bits_of(deep: Sequence[Brightness]) -> int | None:
    """Return the smallest common bit depth that holds all values; None if it is that of the files."""
    return next((bits for bits in COMMON_DEPTHS if highest_of(deep) <= 2**bits - 1), None)


def measure(path: Path, max_value: float | None) -> Brightness | None:
    """Return None for an image with eight bits and for an unreadable file, which is reported by decoding."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            values = deep_values(image, path)
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
    if image.format in ("PNG", "TIFF"):
        content = path.read_bytes()
        return deep_color(image, content) if is_deep_color(image, content) else None
    return None


class WhiteLevel:
    """Mixin of data modules of image files: the value of white in images with more than eight bits.

    A detected value is part of the checkpoint, so that predictions scale images as training did.

    Attributes:
        max_value: the option; None to detect it.
        detected_white: the detected value; None if the images use the whole range of their files.
        can_scale: whether the data module has the option.
    """

    max_value: float | None = None
    detected_white: float | None = None
    can_scale: ClassVar[bool] = False

    @property
    def white(self) -> float | None:
        """The value of white; None for the largest value that the files can hold."""
        return self.detected_white if self.max_value is None else self.max_value

    def detect_white(self, files: Sequence[Path]) -> None:
        """Checks the range of the images, and detects it where it is not known yet.

        Raises:
            DataError: an image has values outside of the range, or of an unknown range.
        """
        found, note = find_white(files, self.white)
        if note is not None:
            self.detected_white = found
            logger.warning(note)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.detected_white is None else {"white": self.detected_white}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.detected_white = state_dict.get("white")
