"""Masks of another size than their images: rejected, or scaled with ``resize_masks``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from runner.data.segmentation.folder import MaskFolderDataModule
from runner.data.segmentation.source import scaled_mask

NAMES = ["left", "right"]


def folder(root: Path, mask_size: tuple[int, int] = (20, 12)) -> Path:
    """Pairs of an image, 40 × 24 pixels, and a mask whose right half is the second class."""
    width, height = mask_size
    for number in range(8):
        for name in ("images", "masks"):
            (root / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((24, 40, 3), number * 20, np.uint8)).save(root / "images" / f"{number}.png")
        mask = np.zeros((height, width), np.uint8)
        mask[:, width // 2 :] = 1
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    return root


def module(root: Path, **options: Any) -> MaskFolderDataModule:
    return MaskFolderDataModule(str(root), class_names=NAMES, crop_size=(24, 40), **options)


@pytest.mark.parametrize("size", [(20, 12), (80, 48), (41, 24)])
def test_mask_is_scaled_to_its_image(tmp_path: Path, size: tuple[int, int]) -> None:
    data = module(folder(tmp_path, size), resize_masks=True)
    data.setup()
    image, mask = data.splits["train"].source[0]
    assert image.shape[1:] == mask.shape == (24, 40)
    assert mask.dtype == torch.uint8 and mask.unique().tolist() == [0, 1]
    assert mask[:, :19].max() == 0 and mask[:, 21:].min() == 1


def test_mask_of_another_size_is_rejected_with_advice(tmp_path: Path) -> None:
    problems = module(folder(tmp_path)).check()
    assert "40 × 24 pixels, but its mask 0.png 20 × 12. data.resize_masks=true scales" in str(problems[0])


def test_mask_of_another_shape_stays_a_fault(tmp_path: Path) -> None:
    problems = module(folder(tmp_path, (20, 20)), resize_masks=True).check()
    assert "its mask 0.png 20 × 20. Was one of them resized" in str(problems[0])


def test_scaling_takes_the_nearest_class() -> None:
    mask = torch.tensor([[0, 7], [255, 1]], dtype=torch.uint8)
    assert scaled_mask(mask, (4, 4)).tolist() == [[0, 0, 7, 7]] * 2 + [[255, 255, 1, 1]] * 2
    assert scaled_mask(scaled_mask(mask, (4, 4)), (2, 2)).equal(mask)
