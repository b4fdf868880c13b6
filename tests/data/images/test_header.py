"""What image files say before their pixels are decoded."""

import numpy as np
from PIL import Image

from runner.data.images.decode import ImageHeader, read_header, turned_note


def test_file_that_is_not_an_image_has_no_header(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    assert read_header(tmp_path / "a.png") is None and read_header(tmp_path / "gone.png") is None
    assert turned_note(tmp_path, ["a.png", "gone.png"]) is None


def test_turned_images_are_reported(tmp_path):
    tags = Image.Exif()
    tags[0x0112] = 3
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.jpg", exif=tags)
    Image.fromarray(np.zeros((9, 7, 3), np.uint8)).save(tmp_path / "b.jpg")
    assert read_header(tmp_path / "b.jpg") == ImageHeader(7, 9)
    note = turned_note(tmp_path, ["a.jpg", "b.jpg"])
    assert note.startswith("1 of the 2 images that were examined are rotated upright") and "a.jpg" in note
    assert "boxes of the upright images" in note
