"""Image files to tensors: any of the usual formats, upright, in eight-bit colour, or an error with the file's name."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from runner.errors import BrokenSampleError, DataError, RunnerError

__all__ = ["EXTENSIONS", "MAX_PIXELS", "decode_image", "read_image", "read_new_image"]

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF")  # Pillow hands others to programs such as Ghostscript
MAX_PIXELS = 89_478_485  # Pillow's own limit for what it warns about: 268 MB decoded


def read_image(path: str | Path) -> Tensor:
    """Reads an image file to a ``uint8`` tensor ``(3, H, W)``, as ``decode_image`` does.

    Raises:
        BrokenSampleError: the file cannot be read or decoded; the message names it.
    """
    hint = "Delete or mend it; `runner data verify` names all such files, and sets them aside with --set-aside."
    return read_or_raise(path, BrokenSampleError, hint)


def read_new_image(path: str | Path) -> Tensor:
    """The same of an image that is no sample of the data, such as one that a prediction is asked for.

    Raises:
        DataError: the file cannot be read or decoded; the message names it.
    """
    return read_or_raise(path, DataError, "Leave it out, or mend it.")


def read_or_raise(path: str | Path, kind: type[RunnerError], hint: str) -> Tensor:
    try:
        return decode_image(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise kind(f"{path} cannot be read: {told}. {hint}") from error



def decode_image(content: bytes) -> Tensor:
    """Decodes the bytes of an image file to a ``uint8`` tensor ``(3, H, W)``.

    Turned as its EXIF orientation says; transparency is laid over white; 16-bit values are scaled to 8; grey,
    palette and CMYK become RGB; of an animation the first frame. The content decides the format, not the name.

    Raises:
        ValueError: no image, a broken one, or one of more than ``MAX_PIXELS``; the message is the reason.
    """
    if not content:
        raise ValueError("the file is empty")
    try:
        return _decode(content)
    except Exception as error:  # rotten bytes make decoders raise a dozen kinds, SyntaxError among them
        raise ValueError(_reason(error, content)) from error


def _decode(content: bytes) -> Tensor:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise Image.DecompressionBombError
        if image.format in ("JPEG", "MPO"):
            return _decode_jpeg(content)
        return _from_pillow(image)


def _decode_jpeg(content: bytes) -> Tensor:
    """Faster than Pillow, and with the same pixels."""
    from torchvision.io import ImageReadMode, decode_jpeg

    data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    return decode_jpeg(data, mode=ImageReadMode.RGB, apply_exif_orientation=True)


def _from_pillow(image: Image.Image) -> Tensor:
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = Image.fromarray(_to_eight_bits(np.asarray(image)))
    elif image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, of which nobody knows the range")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def _to_eight_bits(values: np.ndarray) -> np.ndarray:
    """16-bit grey values, scaled. Pillow's own conversion cuts them off at 255."""
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("its pixels have more than 16 bits")
    return ((values.astype("uint32") * 255 + 32767) // 65535).astype("uint8")


def _reason(error: Exception, content: bytes) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {MAX_PIXELS:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return f"not an image of a known format (it begins with {content[:8]!r})"
    text = str(error).rpartition("decode_jpeg.cpp:")[2] or type(error).__name__
    head, comma, tail = text.partition(", ")
    return (tail if comma and head.isdigit() else text).rstrip(".")
