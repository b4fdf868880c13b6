"""Decoding of image files to upright 8-bit RGB tensors, and reading of their headers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from runner.data.images.depth import RangeError, deep_color, is_deep, is_deep_color, to_eight_bits
from runner.errors import BrokenSampleError, DataError, RunnerError

__all__ = [
    "EXTENSIONS",
    "MAX_PIXELS",
    "ImageHeader",
    "decode_image",
    "read_header",
    "read_image",
    "read_new_image",
    "turned_note",
]

ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)
NUM_LOOKED_AT = 200


@dataclass(frozen=True)
class ImageHeader:
    """The header of an image file.

    Attributes:
        width, height: size of the upright image, in pixels.
        orientation: the EXIF value from 1 to 8; 1 is upright.
        is_gray: whether the file has no colors.
    """

    width: int
    height: int
    orientation: int = 1
    is_gray: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright image."""
        return self.width, self.height

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height of the stored pixels, before the EXIF orientation is applied."""
        return self.size[::-1] if self.orientation in SIDEWAYS else self.size


def read_header(path: Path) -> ImageHeader | None:
    """Read the header of an image file; None if the file is not a readable image."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            orientation = image.getexif().get(ORIENTATION, 1)
            orientation = orientation if orientation in range(1, 9) else 1
            width, height = image.size
            # Pillow 12 swaps the sides of a TIFF itself.
            if orientation in SIDEWAYS and image.format != "TIFF":
                width, height = height, width
            is_gray = image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;16")
            return ImageHeader(width, height, orientation, is_gray)
    except Exception:  # decoders raise a dozen types for damaged bytes; reading the pixels reports the file
        return None


def turned_note(root: Path, paths: Sequence[str]) -> str | None:
    """Return a notice about images with an EXIF rotation; None if none of at most 200 images is rotated.

    Their boxes may refer to the stored or to the upright image.
    """
    chosen = list(paths[:: max(1, -(-len(paths) // NUM_LOOKED_AT))])
    headers = {path: read_header(root / path) for path in chosen}
    turned = [path for path, header in headers.items() if header is not None and header.orientation != 1]
    if not turned:
        return None
    return (
        f"{len(turned)} of the {len(chosen)} images that were examined are rotated upright by their EXIF "
        f"orientation (for example {root / turned[0]}). Their boxes are read as boxes of the upright images."
    )


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
    """Read an image file to a ``uint8`` tensor ``(3, H, W)``; see ``decode_image``.

    Raises:
        BrokenSampleError: the file cannot be read or decoded; the message names it.
    """
    hint = (
        "Delete or repair it; `runner data verify` lists all such files, and sets them aside with "
        "--set-aside."
    )
    return read_or_raise(path, max_value, BrokenSampleError, hint)


def read_new_image(path: str | Path, max_value: float | None = None, can_scale: bool = True) -> Tensor:
    """Read an image that is not part of the data set, such as the input of a prediction.

    Args:
        path: the file.
        max_value: see ``decode_image``.
        can_scale: whether the data set has the option ``max_value``.

    Raises:
        DataError: the file cannot be read or decoded; the message names it.
    """
    return read_or_raise(path, max_value, DataError, "Leave it out, or repair it.", can_scale)


def read_or_raise(
    path: str | Path, max_value: float | None, kind: type[RunnerError], hint: str, can_scale: bool = True
) -> Tensor:
    try:
        return decode_image(Path(path).read_bytes(), max_value)
    except RangeError as error:
        remedy = f"{error.remedy}. {hint}" if can_scale else "Convert it to eight bits per channel."
        raise kind(f"{path} cannot be read: {error.fact}. {remedy}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise kind(f"{path} cannot be read: {reason}. {hint}") from error


def decode_image(content: bytes, max_value: float | None = None) -> Tensor:
    """Decode the bytes of an image file to a ``uint8`` tensor ``(3, H, W)``.

    The EXIF orientation is applied; transparency is composited over white; values of more than eight bits are
    scaled (``max_value`` to 255); grey, palette and CMYK images are converted to RGB; only the first frame of
    an animation is used. The format is detected from the content, not from the name.

    Args:
        content: the bytes.
        max_value: the value of white in images with more than eight bits; 65535 for 16 bits when None, while
            images of larger or floating-point numbers are then rejected. Images with eight bits do not use
            it.

    Raises:
        ValueError: not an image, damaged, more than ``MAX_PIXELS`` pixels, or a value above ``max_value``;
            the message is the reason.
    """
    if not content:
        raise ValueError("the file is empty")
    try:
        return _decode(content, max_value)
    except RangeError:
        raise
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
    """Decode a JPEG image with torchvision, which is faster than Pillow and gives the same pixels."""
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
