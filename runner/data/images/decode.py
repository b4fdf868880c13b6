"""Decoding of image files of the usual formats to upright 8-bit RGB tensors."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from runner.data.images.depth import deep_color, is_deep, is_deep_color, to_eight_bits
from runner.errors import BrokenSampleError, DataError, RunnerError

__all__ = ["EXTENSIONS", "MAX_PIXELS", "decode_image", "read_image", "read_new_image"]

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
FORMATS = (
    "JPEG",
    "PNG",
    "BMP",
    "WEBP",
    "GIF",
    "TIFF",
)  # Pillow passes others to programs such as Ghostscript
MAX_PIXELS = 89_478_485  # the size above which Pillow warns: 268 MB decoded


def read_image(path: str | Path, max_value: float | None = None) -> Tensor:
    """Reads an image file to a ``uint8`` tensor ``(3, H, W)``, as ``decode_image`` does.

    Raises:
        BrokenSampleError: the file cannot be read or decoded; the message names it.
    """
    hint = "Delete or repair it; `runner data verify` lists all such files, and sets them aside with --set-aside."
    return read_or_raise(path, max_value, BrokenSampleError, hint)


def read_new_image(path: str | Path, max_value: float | None = None) -> Tensor:
    """Reads an image that is not a sample of the data set, such as the input of a prediction; see ``read_image``.

    Raises:
        DataError: the file cannot be read or decoded; the message names it.
    """
    return read_or_raise(path, max_value, DataError, "Leave it out, or repair it.")


def read_or_raise(path: str | Path, max_value: float | None, kind: type[RunnerError], hint: str) -> Tensor:
    try:
        return decode_image(Path(path).read_bytes(), max_value)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise kind(f"{path} cannot be read: {reason}. {hint}") from error


def decode_image(content: bytes, max_value: float | None = None) -> Tensor:
    """Decodes the bytes of an image file to a ``uint8`` tensor ``(3, H, W)``.

    The EXIF orientation is applied; transparency is composited over white; values of more than eight bits are scaled
    (``max_value`` to 255); grey, palette and CMYK images are converted to RGB; only the first frame of an animation is
    used. The format is detected from the content, not from the name.

    Args:
        max_value: the value of white in images with more than eight bits; 65535 for 16 bits when None, while images of
            larger or floating-point numbers are then rejected. Images with eight bits do not use it.

    Raises:
        ValueError: not an image, damaged, more than ``MAX_PIXELS`` pixels, or a value above ``max_value``; the message is
            the reason.
    """
    if not content:
        raise ValueError("the file is empty")
    try:
        return _decode(content, max_value)
    except Exception as error:  # decoders raise a dozen types for damaged bytes, SyntaxError among them
        raise ValueError(_reason(error, content)) from error


def _decode(content: bytes, max_value: float | None) -> Tensor:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise Image.DecompressionBombError
        if image.format in ("JPEG", "MPO"):
            return _decode_jpeg(content)
        if max_value is not None and is_deep_color(image, content):
            return to_eight_bits(deep_color(image, content), max_value)
        return _from_pillow(image, max_value)


def _decode_jpeg(content: bytes) -> Tensor:
    """Decodes faster than Pillow, to the same pixels."""
    from torchvision.io import ImageReadMode, decode_jpeg

    data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    return decode_jpeg(data, mode=ImageReadMode.RGB, apply_exif_orientation=True)


def _from_pillow(image: Image.Image, max_value: float | None) -> Tensor:
    image.load()
    image = ImageOps.exif_transpose(image)
    if is_deep(image):
        return to_eight_bits(np.asarray(image)[None].repeat(3, 0), max_value)
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def _reason(error: Exception, content: bytes) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {MAX_PIXELS:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return f"not an image of a known format (it begins with {content[:8]!r})"
    text = str(error).rpartition("decode_jpeg.cpp:")[2] or type(error).__name__
    head, comma, tail = text.partition(", ")
    return (tail if comma and head.isdigit() else text).rstrip(".")
