import numpy as np
import pytest
from PIL import Image

from runner.data.segmentation.mask_file import MaskReader
from runner.errors import BrokenSampleError

VALUES = np.array([[0, 1, 2], [2, 255, 1]], dtype=np.uint8)
COLORS = [[0, 0, 0], [128, 64, 0], [7, 8, 9]]


def save(path, image, **options):
    image.save(path, **options)
    return path


def palette(values):
    image = Image.fromarray(values, mode="P")
    image.putpalette(list(range(256)) * 3)
    return image


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Image.fromarray(VALUES), "grey.png"),
        (lambda: palette(VALUES), "palette.png"),
        (lambda: Image.fromarray(VALUES), "grey.bmp"),
        (lambda: Image.fromarray(VALUES.astype(np.uint16)), "sixteen.png"),
        (lambda: Image.fromarray(VALUES.astype(np.int32)), "thirty-two.tif"),
        (lambda: Image.fromarray(np.stack([VALUES] * 3, -1)), "three_alike.png"),
        (lambda: Image.fromarray(np.stack([VALUES, VALUES * 0 + 255], -1), mode="LA"), "alpha.png"),
    ],
)
def test_index_masks_of_every_kind(tmp_path, make, name):
    assert MaskReader(3).read(save(tmp_path / name, make())).tolist() == VALUES.tolist()


def test_two_values_of_one_bit(tmp_path):
    path = save(tmp_path / "bits.png", Image.fromarray(np.array([[True, False]])))
    assert MaskReader(2).read(path).tolist() == [[1, 0]]


def test_other_values_and_several_that_do_not_count(tmp_path):
    path = save(tmp_path / "m.png", Image.fromarray(np.array([[0, 255, 7, 9]], dtype=np.uint8)))
    assert MaskReader(2, values=[0, 255], ignored=[7, 9]).read(path).tolist() == [[0, 1, 255, 255]]


def test_unknown_values_are_named_or_ignored(tmp_path):
    path = save(tmp_path / "m.png", Image.fromarray(np.array([[0, 1, 5, 5, 40]], dtype=np.uint8)))
    with pytest.raises(
        BrokenSampleError,
        match=r"m.png has the values 5, 40; expected classes 0, 1, and 255 for ignored pixels",
    ):
        MaskReader(2).read(path)
    assert MaskReader(2, unknown="ignore").read(path).tolist() == [[0, 1, 255, 255, 255]]
    with pytest.raises(BrokenSampleError, match=r"has the value 40; .* give data.ignore_index=40"):
        MaskReader(6).read(path)


def colored(*colors):
    return Image.fromarray(np.array([colors], dtype=np.uint8))


def test_colours(tmp_path):
    path = save(tmp_path / "m.png", colored([7, 8, 9], [0, 0, 0], [128, 64, 0]))
    assert MaskReader(3, colors=COLORS).read(path).tolist() == [[2, 0, 1]]
    with_alpha = save(tmp_path / "a.png", colored([7, 8, 9, 255], [0, 0, 0, 255]))
    assert MaskReader(3, colors=COLORS).read(with_alpha).tolist() == [[2, 0]]


def test_gray_colours_are_colours(tmp_path):
    path = save(tmp_path / "m.png", colored([128, 128, 128], [0, 0, 0]))
    colors = [[64, 0, 0], [128, 128, 128]]
    assert MaskReader(2, colors=colors, unknown="ignore").read(path).tolist() == [[1, 255]]
    with pytest.raises(BrokenSampleError, match=r"colours of no class: \[0, 0, 0\]"):
        MaskReader(2, colors=colors).read(path)
    alone = save(tmp_path / "alone.png", colored([0, 0, 0], [0, 0, 0]))
    assert MaskReader(2, colors=[[128, 0, 0], [0, 0, 0]]).read(alone).tolist() == [[1, 1]]
    assert MaskReader(2, colors=colors, unknown="ignore").read(alone).tolist() == [[255, 255]]


def test_three_channels_of_class_ids_are_no_colours(tmp_path):
    path = save(tmp_path / "m.png", colored([2, 2, 2], [1, 1, 1]))
    assert MaskReader(3, colors=COLORS).read(path).tolist() == [[2, 1]]


def test_unknown_colours_are_named_or_ignored(tmp_path):
    path = save(tmp_path / "m.png", colored([7, 8, 9], [1, 2, 3], [255, 255, 250]))
    with pytest.raises(BrokenSampleError, match=r"colours of no class: \[1, 2, 3\], \[255, 255, 250\]"):
        MaskReader(3, colors=COLORS).read(path)
    assert MaskReader(3, colors=COLORS, unknown="ignore").read(path).tolist() == [[2, 255, 255]]
    with pytest.raises(BrokenSampleError, match="is in colour. Give each class its red, green and blue"):
        MaskReader(3).read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a readable image"),
        (b"nothing", "is not a readable image"),
        (None, "cannot be read: No such file"),
    ],
)
def test_broken_files(tmp_path, content, message):
    path = tmp_path / "m.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BrokenSampleError, match=f"m.png {message}"):
        MaskReader(3).read(path)


def test_masks_that_cannot_be_right(tmp_path):
    lossy = save(tmp_path / "m.png", Image.fromarray(VALUES), format="JPEG")
    with pytest.raises(BrokenSampleError, match="is a JPEG, which blurs classes"):
        MaskReader(3).read(lossy)
    deep = save(tmp_path / "deep.png", Image.fromarray(np.array([[0, 3000]], dtype=np.uint16)))
    with pytest.raises(
        BrokenSampleError, match="values from 0 to 3000; expected whole numbers from 0 to 255"
    ):
        MaskReader(3).read(deep)
    cut = tmp_path / "cut.png"
    save(cut, Image.fromarray(np.random.default_rng(0).integers(0, 3, (60, 60), dtype=np.uint8)))
    cut.write_bytes(cut.read_bytes()[:-400])
    with pytest.raises(BrokenSampleError, match="cut.png is not a readable image"):
        MaskReader(3).read(cut)
