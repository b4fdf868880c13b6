"""How large the images of a data set usually are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from runner.data.detection.table import BoxTable

__all__ = ["usual_sides"]

MOST_SHORTER, MOST_LONGER = 800, 1333
"""Where detectors stop to gain from larger images (Lin et al. 2016, arXiv:1612.03144, and all after it)."""
NUM_OPENED = 200


def usual_sides(root: Path, table: BoxTable, positions: Sequence[int]) -> tuple[int, int]:
    """What the shorter and the longer side of an image come to: the median of the one, the most of the other.

    Of images whose size no annotation tells, up to 200 are opened, but not decoded.
    """
    sizes = table.sizes[list(positions)]
    sizes = sizes[(sizes > 0).all(1)]
    if not len(sizes):
        chosen = [positions[i] for i in np.linspace(0, len(positions) - 1, min(len(positions), NUM_OPENED)).astype(int)]
        found = [size for size in (size_of(root / table.paths[i]) for i in chosen) if size is not None]
        sizes = np.array(found or [(MOST_SHORTER, MOST_LONGER)])
    shorter = min(MOST_SHORTER, int(np.median(sizes.min(1))))
    return shorter, max(shorter, min(MOST_LONGER, int(sizes.max())))


def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height; None for a file that is no image (it is named when its turn comes)."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
