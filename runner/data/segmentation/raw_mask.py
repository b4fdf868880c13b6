"""Stored content of mask files: the distinct entries of a mask, with their values and colours."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from runner.data.images.decode import MAX_PIXELS

__all__ = ["RawMask", "packed", "raw_mask"]

FORMATS = ("PNG", "BMP", "TIFF", "GIF", "JPEG", "WEBP")
LOW_DEPTHS = (2, 4)


@dataclass
class RawMask:
    """The pixels of a mask and the distinct entries that they refer to.

    Attributes:
        kind: ``grey`` for grey values, ``palette`` for indices into a palette, ``color`` for red, green and
            blue.
        places: entry of each pixel, ``(H, W)``; for ``grey`` and ``palette`` the stored number itself.
        values: the stored number of each entry, ``(n,)``; for ``color`` the grey value; None if some entry is
            not grey.
        colors: red, green and blue of each entry, uint8 ``(n, 3)``.
        has_palette: whether the file contains a palette, apart from the shades of masks with 1, 2 or 4 bits.
    """

    kind: Literal["grey", "palette", "color"]
    places: np.ndarray
    values: np.ndarray | None
    colors: np.ndarray
    has_palette: bool = False

    def spread(self, ids: np.ndarray) -> np.ndarray:
        """Map class ids of the entries ``(n,)`` to the pixels, uint8 ``(H, W)``."""
        if self.kind == "color":
            return ids.astype(np.uint8)[self.places]
        table = np.zeros(256, dtype=np.uint8)
        table[self.numbers] = ids
        return table[self.places]

    @property
    def numbers(self) -> np.ndarray:
        """The ``values`` of a mask that has them.

        Raises:
            ValueError: it has none; the message continues a sentence that begins with the file's name.
        """
        if self.values is None:
            raise ValueError("is in colour, which has no index")
        return self.values

    @property
    def is_grey(self) -> bool:
        """Whether every used entry is a shade of grey."""
        return bool((self.colors[:, :1] == self.colors).all())


def raw_mask(content: bytes) -> RawMask:
    """Decode the bytes of a mask file and apply its own EXIF orientation.

    Raises:
        ValueError: the file cannot be a mask; the message continues a sentence that begins with the file's
            name.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.format in ("JPEG", "WEBP"):
                raise ValueError(f"is a {image.format}, which blurs classes. Save masks as PNG")
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"has more than {MAX_PIXELS:,} pixels")
            image.load()  # rotates a TIFF and removes its orientation, which would otherwise be applied twice
            return from_pillow(ImageOps.exif_transpose(image), stored_depth(content))
    except ValueError:
        raise
    except Exception as error:  # decoders raise a dozen types for damaged bytes, including SyntaxError
        raise ValueError(f"is not a readable image ({type(error).__name__})") from error


def stored_depth(content: bytes) -> int:
    """Return the bit depth of a grey PNG with 2 or 4 bits, which Pillow scales to 0 … 255; 0 otherwise."""
    is_png = content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) > 25
    return content[24] if is_png and content[25] == 0 and content[24] in LOW_DEPTHS else 0


def from_pillow(image: Image.Image, depth: int) -> RawMask:
    if image.mode in ("P", "PA"):
        palette = np.zeros((256, 3), dtype=np.uint8)
        entries = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
        palette[: len(entries)] = entries
        return from_table(np.array(image if image.mode == "P" else image.getchannel(0)), palette, True)
    if image.mode in ("LA", "La"):
        image = image.getchannel(0)
    elif image.mode not in ("1", "L", "F") and not image.mode.startswith("I"):
        return from_colors(np.array(image.convert("RGB")))
    values = np.array(image)
    if values.dtype == np.bool_:
        return from_table(values.astype(np.uint8), shades(255))
    if values.dtype != np.uint8:
        if values.dtype.kind == "f" or values.min() < 0 or values.max() > 255:
            raise ValueError(
                f"has values from {values.min()} to {values.max()}; expected whole numbers from 0 to 255"
            )
        values = values.astype(np.uint8)
    if depth:
        step = 255 // (2**depth - 1)
        return from_table(values // step, shades(step))
    return from_table(values, shades(1))


def shades(step: int) -> np.ndarray:
    """Return a palette of greys in steps of ``step``."""
    return np.minimum(np.arange(256) * step, 255).astype(np.uint8)[:, None].repeat(3, 1)


def from_table(places: np.ndarray, palette: np.ndarray, has_palette: bool = False) -> RawMask:
    values = np.flatnonzero(np.bincount(places.ravel(), minlength=256))
    is_ramp = (palette[values] == values[:, None]).all() and (palette[1] == 1).all()
    return RawMask(
        "grey" if is_ramp else "palette", places, values, palette[values], has_palette and not is_ramp
    )


def from_colors(pixels: np.ndarray) -> RawMask:
    codes, places = np.unique(packed(pixels), return_inverse=True)
    colors = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], -1).astype(np.uint8)
    is_grey = bool((colors[:, :1] == colors).all())
    return RawMask(
        "color", places.reshape(pixels.shape[:2]), colors[:, 0].astype(np.intp) if is_grey else None, colors
    )


def packed(colors: np.ndarray) -> np.ndarray:
    """Pack each colour into one number, ``(…, 3)`` → ``(…)``."""
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue
