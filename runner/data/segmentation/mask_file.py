"""Mask files to class ids: grey values, palette indices or colours."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from runner.data.images.decode import MAX_PIXELS
from runner.data.segmentation.batch import IGNORE
from runner.errors import BrokenSampleError

__all__ = ["MASK_EXTENSIONS", "MaskReader", "raw_mask"]

MASK_EXTENSIONS = frozenset({".png", ".bmp", ".tif", ".tiff", ".gif"})
FORMATS = ("PNG", "BMP", "TIFF", "GIF", "JPEG", "WEBP")
UNKNOWN = -1
MOST_NAMED = 8


class MaskReader:
    """Reads masks as uint8 ``(H, W)``: class ids from 0, and ``IGNORE`` for pixels that do not count.

    Args:
        num_classes: how many there are.
        values: what stands in the files for each class: grey values or palette indices; 0, 1, 2 … when None.
        colors: red, green and blue of each class, for masks in colour.
        ignored: values that do not count.
        unknown: what is done about other values and colours: ``refuse`` the mask, or ``ignore`` those pixels.
    """

    def __init__(
        self,
        num_classes: int,
        values: Sequence[int] | None = None,
        colors: Sequence[Sequence[int]] | None = None,
        ignored: Sequence[int] = (IGNORE,),
        unknown: Literal["refuse", "ignore"] = "refuse",
    ):
        self.unknown = unknown
        values = list(range(num_classes)) if values is None else list(values)
        self.known = f"classes {', '.join(map(str, values[:20]))}{' …' if num_classes > 20 else ''}"
        if ignored:
            self.known += f", and {', '.join(map(str, ignored))} for what does not count"
        self.ids = np.full(256, UNKNOWN, dtype=np.int16)
        self.ids[list(ignored)] = IGNORE
        self.ids[values] = np.arange(num_classes)
        self.codes = self.order = None
        if colors is not None:
            codes = packed(np.asarray(colors, dtype=np.uint8))
            self.order = np.argsort(codes)
            self.codes = codes[self.order]

    def read(self, path: Path) -> Tensor:
        """One mask.

        Raises:
            BrokenSampleError: it cannot be read, or has values that mean no class; it is named.
        """
        try:
            found = raw_mask(path.read_bytes())
            ids = self.of_values(found) if found.ndim == 2 else self.of_colors(found)
        except OSError as error:
            raise BrokenSampleError(f"The mask {path} cannot be read: {error.strerror or error}.") from error
        except ValueError as error:
            raise BrokenSampleError(f"The mask {path} {error}.") from error
        return torch.from_numpy(ids)

    def of_values(self, found: np.ndarray) -> np.ndarray:
        ids = self.ids[found]
        bad = ids == UNKNOWN
        if bad.any() and self.unknown == "refuse":
            values = np.unique(found[bad]).tolist()
            hint = f". If {values[0]} is for what does not count, give data.ignore_index={values[0]}" if len(values) == 1 else ""
            raise ValueError(f"has the value{'s' * (len(values) > 1)} {named(values)}; expected {self.known}{hint}")
        ids[bad] = IGNORE
        return ids.astype(np.uint8)

    def of_colors(self, found: np.ndarray) -> np.ndarray:
        """Also of values that stand in all three channels, where the classes have no colours or none of theirs is there."""
        if self.codes is None:
            if is_grey(found):
                return self.of_values(found[..., 0])
            raise ValueError("is in colour. Give each class its red, green and blue with data.colors=[[0,0,0],…]")
        codes = packed(found)
        places = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
        bad = self.codes[places] != codes
        if bad.any() and self.unknown == "refuse":
            if bad.all() and is_grey(found):
                return self.of_values(found[..., 0])
            colors = [[code >> 16, code >> 8 & 255, code & 255] for code in np.unique(codes[bad]).tolist()]
            raise ValueError(
                f"has colours that are no class's: {named(colors)}. Add them to data.colors, or leave such pixels out "
                "of account with data.unknown=ignore"
            )
        ids = self.order[places].astype(np.uint8)
        ids[bad] = IGNORE
        return ids


def raw_mask(content: bytes) -> np.ndarray:
    """Values uint8 ``(H, W)``, or colours uint8 ``(H, W, 3)``.

    Raises:
        ValueError: it cannot be a mask; the message goes on from its name.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.format in ("JPEG", "WEBP"):
                raise ValueError(f"is a {image.format}, which blurs classes. Masks are kept as PNG")
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"has more than {MAX_PIXELS:,} pixels")
            if image.mode in ("LA", "PA"):
                image = image.getchannel(0)
            elif image.mode == "RGBA":
                image = image.convert("RGB")
            values = np.array(image)
    except ValueError:
        raise
    except Exception as error:  # rotten bytes make decoders raise a dozen kinds, SyntaxError among them
        raise ValueError(f"is no readable image ({type(error).__name__})") from error
    if values.ndim == 2 and values.dtype not in (np.uint8, np.bool_):
        if values.dtype.kind == "f" or values.min() < 0 or values.max() > 255:
            raise ValueError(f"has values from {values.min()} to {values.max()}; expected whole numbers from 0 to 255")
    return values.astype(np.uint8)


def is_grey(colors: np.ndarray) -> bool:
    return bool((colors[..., :1] == colors).all())


def packed(colors: np.ndarray) -> np.ndarray:
    """One number a colour, ``(…, 3)`` → ``(…)``."""
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def named(values: list) -> str:
    more = f" and {len(values) - MOST_NAMED} more" if len(values) > MOST_NAMED else ""
    return ", ".join(map(str, values[:MOST_NAMED])) + more
