import numpy as np
import pytest
import torch
from PIL import Image

from runner.data.segmentation.mask_file import MaskReader
from runner.data.segmentation.source import MaskFileSource, shrunk, shrunk_size
from runner.errors import BrokenSampleError


def source(root, max_side=None):
    pairs = [("images/00.png", "masks/00.png"), ("images/01.png", "masks/01.png")]
    return MaskFileSource(root, pairs, MaskReader(3), max_side)


def test_samples(folder):
    image, mask = source(folder(2))[1]
    assert image.shape == (3, 24, 32) and mask.shape == (24, 32) and mask.dtype == torch.uint8
    assert torch.equal(image[0], mask * 10)
    assert source(folder(2)).name(1) == "images/01.png"


def test_sizes_that_differ(folder):
    root = folder(2)
    Image.fromarray(np.zeros((32, 24), dtype=np.uint8)).save(root / "masks" / "00.png")
    with pytest.raises(BrokenSampleError, match="00.png has 32 × 24 pixels, but its mask 00.png 24 × 32"):
        source(root)[0]


def test_large_images_are_scaled_down(folder):
    image, mask = source(folder(2), max_side=16)[0]
    assert image.shape == (3, 12, 16) and mask.shape == (12, 16)
    assert float((image[0].float() / 10 - mask).abs().median()) < 0.3
    assert source(folder(2), max_side=32)[0][1].shape == (24, 32)


def test_shrunk():
    assert shrunk_size((100, 400), 200) == (50, 200) and shrunk_size((100, 400), None) == (100, 400)
    assert shrunk(torch.zeros(3, 100, 400, dtype=torch.uint8), 200).shape == (3, 50, 200)
