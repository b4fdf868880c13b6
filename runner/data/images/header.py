"""The size and the EXIF orientation of an image file, without decoding its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from runner.data.images.decode import FORMATS

__all__ = ["ImageHeader", "read_header", "turned_note"]

ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)
NUM_LOOKED_AT = 200


@dataclass(frozen=True)
class ImageHeader:
    """The header of an image file.

    Attributes:
        width, height: size of the upright image, in pixels.
        orientation: the EXIF value from 1 to 8; 1 is upright.
    """

    width: int
    height: int
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height of the stored pixels, before the EXIF orientation is applied."""
        return self.size[::-1] if self.orientation in SIDEWAYS else self.size


def read_header(path: Path) -> ImageHeader | None:
    """Reads the header of an image file; returns None if the file is not a readable image."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            orientation = image.getexif().get(ORIENTATION, 1)
            orientation = orientation if orientation in range(1, 9) else 1
            width, height = image.size
            # Pillow swaps the sides of a TIFF itself.
            if orientation in SIDEWAYS and image.format != "TIFF":
                width, height = height, width
            return ImageHeader(width, height, orientation)
    except Exception:  # decoders raise a dozen types for damaged bytes; reading the pixels reports the file
        return None


def turned_note(root: Path, paths: Sequence[str]) -> str | None:
    """Returns a note about images with an EXIF rotation, whose boxes may refer to the stored or to the upright image; None
    if none of at most 200 images, evenly spread, is rotated."""
    chosen = list(paths[:: max(1, -(-len(paths) // NUM_LOOKED_AT))])
    headers = {path: read_header(root / path) for path in chosen}
    turned = [path for path, header in headers.items() if header is not None and header.orientation != 1]
    if not turned:
        return None
    return (
        f"{len(turned)} of the {len(chosen)} images that were looked at are turned upright by their EXIF orientation (for example "
        f"{root / turned[0]}). Their boxes are read as boxes of the upright images."
    )
