"""Small folders of images and masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIZE = (24, 32)


def write_pair(image: Path, mask: Path, values: np.ndarray) -> None:
    """A mask of values, and an image whose red channel says the same, ten times as bright."""
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.stack([values * 10, values, values], -1).astype(np.uint8)
    Image.fromarray(rgb).save(image)
    Image.fromarray(values.astype(np.uint8)).save(mask)


def blocks(number: int, num_classes: int = 3, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A mask of square blocks of classes."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]] // 8
    return (rows + columns + number) % num_classes


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes ROOT/images/IMAGE.png and ROOT/masks/IMAGE.png, with names for three classes."""

    def make(count: int = 20, sizes: tuple[tuple[int, int], ...] = (SIZE,), names: bool = True) -> Path:
        for number in range(count):
            values = blocks(number, size=sizes[number % len(sizes)])
            write_pair(
                tmp_path / "images" / f"{number:02}.png", tmp_path / "masks" / f"{number:02}.png", values
            )
        if names:
            (tmp_path / "classes.txt").write_text("sky\nroad\ntree\n")
        return tmp_path

    return make
