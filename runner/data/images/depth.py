"""Images with more than eight bits in a channel: 16-bit and 32-bit integers and floating-point numbers."""

from __future__ import annotations

import io
import sys
from typing import cast

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

__all__ = ["RangeError", "deep_color", "is_deep", "is_deep_color", "to_eight_bits"]

SIXTEEN_BITS = 65535
PNG_COLOR_TYPES = (2, 4, 6)  # colour, and grey or colour with transparency
BITS_PER_SAMPLE = 258  # TIFF tag
OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
"""Byte orders of Pillow: little, big and that of the machine."""


def is_deep(image: Image.Image) -> bool:
    """Return whether the pixels are grey values of more than eight bits."""
    return image.mode == "F" or image.mode.startswith("I")


def is_deep_color(image: Image.Image, content: bytes) -> bool:
    """Return whether several channels have 16 bits each, of which Pillow keeps eight."""
    if image.format == "PNG":
        return len(content) > 25 and content[24] == 16 and content[25] in PNG_COLOR_TYPES
    bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, ()) if image.format == "TIFF" else ()
    return len(bits) > 1 and max(bits) > 8


def deep_color(image: Image.Image, content: bytes) -> np.ndarray:
    """Read an image with several 16-bit channels, ``(3, H, W)``, upright; transparency is not applied.

    Raises:
        ValueError: a TIFF with another arrangement of channels.
    """
    if image.format == "TIFF":
        return deep_tiff(content)
    from torchvision.io import ImageReadMode, decode_image

    data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    values = decode_image(data, mode=ImageReadMode.UNCHANGED, apply_exif_orientation=True).numpy()
    return values[:3] if len(values) > 2 else values[:1].repeat(3, 0)


def deep_tiff(content: bytes) -> np.ndarray:
    """Read a TIFF with three or four 16-bit channels, ``(3, H, W)``, upright.

    Pillow keeps the high byte of each value. With the other byte order it keeps the low one.

    Raises:
        ValueError: the channels are arranged in another way.
    """
    high, low = (tiff_bytes(content, swapped) for swapped in (False, True))
    return (high.astype(np.uint16) << 8 | low).transpose(2, 0, 1)[:3]


def tiff_bytes(content: bytes, swapped: bool) -> np.ndarray:
    """Read the high byte of each value, or the low one with ``swapped``, ``(H, W, C)``."""
    with Image.open(io.BytesIO(content), formats=("TIFF",)) as image:
        if swapped:
            image.tile = [tile._replace(args=swapped_order(cast(tuple, tile.args))) for tile in image.tile]
        image.load()
        return np.asarray(ImageOps.exif_transpose(image))


def swapped_order(args: tuple) -> tuple:
    """Return the arguments of a decoder for 16-bit values, such as ``("RGB;16L", …)``.

    With the other byte order.
    """
    name, sign, order = str(args[0]).partition(";16")
    if name not in ("RGB", "RGBX", "RGBA") or order not in OTHER_ORDER:
        raise ValueError(
            f"its channels of 16 bits are arranged as {args[0]}, which data.max_value cannot scale"
        )
    return (f"{name}{sign}{OTHER_ORDER[order]}", *args[1:])


class RangeError(ValueError):
    """The range of an image's values is unknown, or they lie outside of it.

    Attributes:
        fact: the fault.
        remedy: the setting that helps, for data sets that have it.
    """

    def __init__(self, fact: str, remedy: str) -> None:
        super().__init__(f"{fact}. {remedy}")
        self.fact, self.remedy = fact, remedy


def to_eight_bits(values: np.ndarray, max_value: float | None) -> Tensor:
    """Scale values ``(3, H, W)`` to uint8, ``max_value`` to 255. Pillow's own conversion clips them.

    Args:
        values: the pixels.
        max_value: the value of white; 65535 for integers when None.

    Raises:
        RangeError: a value lies outside 0 … ``max_value``, or the range is unknown.
        ValueError: a value is not finite.
    """
    low, high = values.min(), values.max()
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("it has pixels that are not finite numbers")
    span = f"its values are {low:g} … {high:g}"
    if max_value is None:
        if values.dtype.kind == "f":
            white = 1 if high <= 1 else 255 if high <= 255 else f"{high:g}"
            raise RangeError(
                f"its pixels are floating-point numbers, whose range is unknown ({span})",
                f"Give the value of white with data.max_value={white}",
            )
        if low < 0 or high > SIXTEEN_BITS:
            raise RangeError(
                f"its pixels have more than 16 bits ({span})",
                f"Give the value of white with data.max_value={high:g}",
            )
        scaled = (values.astype(np.uint32) * 255 + SIXTEEN_BITS // 2) // SIXTEEN_BITS
        return torch.from_numpy(scaled.astype(np.uint8))
    if low < 0 or high > max_value:
        raise RangeError(
            f"{span}; expected 0 … {max_value:g}",
            f"The value of white is {max_value:g}; another one is given with data.max_value",
        )
    scaled = np.floor(values.astype(np.float64) * 255 / max_value + 0.5)
    return torch.from_numpy(scaled.astype(np.uint8))
