"""Sizes and EXIF orientations of images and their masks."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from runner.data.images.decode import read_header
from runner.data.segmentation.folder import MaskFolderDataModule
from runner.data.segmentation.mask_file import MaskReader
from runner.data.segmentation.mask_set import turned_upright
from runner.errors import DataError

NAMES = ["a", "b", "c"]


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return {} if orientation == 1 else {"exif": tags}


def values(size):
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    return ((rows // 3 + columns // 5) % 3).astype(np.uint8)


def write(root, stored, mask, image_orientation=1, mask_orientation=1, extension="png"):
    """Eight images whose red channel is ten times the stored mask."""
    for number in range(8):
        for kind in ("images", "masks"):
            (root / kind).mkdir(exist_ok=True)
        image = Image.fromarray(np.stack([stored * 10] * 3, -1))
        image.save(root / "images" / f"{number}.{extension}", **exif(image_orientation))
        Image.fromarray(mask).save(root / "masks" / f"{number}.png", **exif(mask_orientation))
    return MaskFolderDataModule(str(root), class_names=NAMES), str(root)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["png", "tif"])
def test_headers(tmp_path, orientation, extension):
    path = tmp_path / f"a.{extension}"
    Image.fromarray(values((12, 20))).save(path, **exif(orientation))
    header = read_header(path)
    # From memory: Pillow maps an uncompressed grey TIFF on disk with its sides swapped.
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.load()
        assert header.size == ImageOps.exif_transpose(image).size
    assert header.stored_size == (20, 12) and header.orientation == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_turn_as_pillow_turns_images(tmp_path, orientation):
    path = tmp_path / "a.png"
    Image.fromarray(values((12, 20))).save(path, **exif(orientation))
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert turned_upright(torch.from_numpy(values((12, 20))), orientation).tolist() == expected.tolist()


def aligned(data):
    data.setup("fit")
    for split in data.splits.values():
        for index in split.indices.tolist():
            image, mask = split.source[index]
            assert torch.equal(image[0], mask * 10)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_square_images_turned_without_their_masks_are_rejected(tmp_path, orientation):
    square = values((15, 15))
    data, root = write(tmp_path, square, square, orientation)
    (first, *_) = data.check()
    assert f"rotated by its EXIF orientation ({orientation})" in first
    assert "data.mask_orientation=upright" in first and "data.mask_orientation=stored" in first
    with pytest.raises(DataError, match="rotated by its EXIF orientation"):
        data.setup("fit")
    assert len(data.verify()) == 8
    aligned(MaskFolderDataModule(root, class_names=NAMES, mask_orientation="stored"))


def test_masks_of_the_upright_image(tmp_path):
    square = values((15, 15))
    upright = np.rot90(square, -1).copy()  # orientation 6: turned clockwise by a quarter
    _, root = write(tmp_path, square, upright, 6)
    aligned(MaskFolderDataModule(root, class_names=NAMES, mask_orientation="upright"))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_sizes_decide_where_they_can(tmp_path, orientation):
    oblong = values((12, 20))
    data, root = write(tmp_path, oblong, oblong, orientation)
    assert data.check() == []
    aligned(data)
    (first, *_) = MaskFolderDataModule(root, class_names=NAMES, mask_orientation="upright").check()
    assert "has 12 × 20 pixels, but its mask 0.png 20 × 12" in first


def test_masks_with_the_same_orientation_turn_with_their_images(tmp_path):
    square = values((15, 15))
    data, _ = write(tmp_path, square, square, 6, 6)
    assert data.check() == []
    aligned(data)


@pytest.mark.parametrize("orientation", [3, 6])
def test_tiff_masks_are_turned_once(tmp_path, orientation):
    path = tmp_path / "m.tif"
    Image.fromarray(values((12, 20))).save(path, **exif(orientation))
    expected = np.rot90(values((12, 20)), 2 if orientation == 3 else -1)
    assert MaskReader(3).read(path).tolist() == expected.tolist()


def test_sizes_that_differ_are_found_before_work(tmp_path):
    """One pair of eight, in any split: training would meet it in some epoch."""
    data, root = write(tmp_path, values((12, 20)), values((12, 20)))
    Image.fromarray(values((12, 19))).save(tmp_path / "masks" / "5.png")
    (problem,) = data.check()
    assert (
        "5.png has 20 × 12 pixels, but its mask 5.png 19 × 12" in problem and "runner data verify" in problem
    )
    assert [entry.path for entry in MaskFolderDataModule(root, class_names=NAMES).verify()] == [
        "images/5.png"
    ]
