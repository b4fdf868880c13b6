"""Masks with two readings: by index and by colour."""

import numpy as np
import pytest
from PIL import Image

from runner.data.segmentation.folder import MaskFolderDataModule
from runner.data.segmentation.mask_file import MaskReader
from runner.errors import BrokenSampleError, DataError

IDS = np.array([[0, 1, 2, 2], [1, 0, 0, 2]], dtype=np.uint8)
COLORS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], dtype=np.uint8)
GREYS = np.array([[0] * 3, [1] * 3, [2] * 3], dtype=np.uint8)


def with_palette(indices, palette) -> Image.Image:
    image = Image.fromarray(np.asarray(indices, dtype=np.uint8), mode="P")
    image.putpalette(np.asarray(palette, dtype=np.uint8).flatten().tolist())
    return image


def save(path, image, **options):
    image.save(path, **options)
    return path


def read(reader, path):
    return reader.read(path).tolist()


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 2, 0], [2, 1, 0]])
@pytest.mark.parametrize("name", ["m.png", "m.gif", "m.bmp", "m.tif"])
def test_palette_of_class_colours_is_read_by_colour(tmp_path, order, name):
    places = np.argsort(order)
    path = save(tmp_path / name, with_palette(places[IDS], COLORS[order]))
    assert (np.asarray(Image.open(path).convert("RGB")) == COLORS[IDS]).all()
    assert read(MaskReader(3, colors=COLORS.tolist()), path) == IDS.tolist()


def test_unused_entry_does_not_matter(tmp_path):
    path = save(tmp_path / "m.png", with_palette(IDS + 1, [[9, 9, 9], *COLORS]))
    assert read(MaskReader(3, colors=COLORS.tolist()), path) == IDS.tolist()


def test_palette_of_no_class_colours_is_read_by_index(tmp_path):
    voc = [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    path = save(tmp_path / "m.png", with_palette(IDS, voc))
    assert read(MaskReader(3), path) == IDS.tolist()
    assert read(MaskReader(3, colors=[[7, 7, 7], [8, 8, 8], [9, 9, 0]]), path) == IDS.tolist()
    ramp = save(tmp_path / "ramp.png", with_palette(IDS, np.arange(256)[:, None].repeat(3, 1)))
    assert read(MaskReader(3, colors=COLORS.tolist()), ramp) == IDS.tolist()


def test_void_entry_beside_class_colours_is_read_by_index(tmp_path):
    """As in Pascal VOC, where 255 is the border: its colour is no class's."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[:3], palette[255] = COLORS, (224, 224, 192)
    path = save(tmp_path / "m.png", with_palette([[0, 1, 255]], palette))
    assert read(MaskReader(3, colors=COLORS.tolist()), path) == [[0, 1, 255]]


def test_two_readings_are_rejected_and_both_are_named(tmp_path):
    """Red has the index 2 and is class 1; white is no class's colour."""
    path = save(tmp_path / "m.png", with_palette([[0, 1, 2]], [[0, 0, 0], [255, 255, 255], [255, 0, 0]]))
    given = {"colors": COLORS.tolist(), "names": ["sky", "road", "tree"]}
    with pytest.raises(BrokenSampleError) as caught:
        MaskReader(3, **given).read(path)
    text = str(caught.value)
    assert "by index it is the class 'road', by colour no class" in text
    assert "data.mask_encoding=index or data.mask_encoding=color" in text
    assert read(MaskReader(3, encoding="index", **given), path) == [[0, 1, 2]]
    assert read(MaskReader(3, encoding="color", unknown="ignore", **given), path) == [[0, 255, 1]]
    with pytest.raises(BrokenSampleError, match=r"colours of no class: \[255, 255, 255\]"):
        MaskReader(3, encoding="color", **given).read(path)


def test_gray_masks_whose_palette_was_packed(tmp_path):
    """Pillow packs the palette of a GIF: the grey values 0 and 2 become the indices 0 and 1."""
    packed = save(tmp_path / "m.gif", Image.fromarray(np.array([[0, 2]], dtype=np.uint8)))
    assert np.asarray(Image.open(packed)).tolist() == [[0, 1]]
    with pytest.raises(
        BrokenSampleError, match=r"palette index 1 has the colour \[2, 2, 2\].*class '1'.*class '2'"
    ):
        MaskReader(3).read(packed)
    assert read(MaskReader(3, encoding="color"), packed) == [[0, 2]]
    assert read(MaskReader(3, encoding="index"), packed) == [[0, 1]]
    three = save(tmp_path / "three.gif", Image.fromarray(np.array([[0, 3, 5]], dtype=np.uint8)))
    assert read(MaskReader(2, values=[3, 5], ignored=[0]), three) == [[255, 0, 1]]


def test_masks_of_one_bit(tmp_path):
    path = save(tmp_path / "m.png", Image.fromarray(np.array([[True, False]])))
    assert read(MaskReader(2), path) == [[1, 0]]
    assert read(MaskReader(2, values=[0, 255], ignored=[]), path) == [[1, 0]]
    assert read(MaskReader(2, colors=[[255, 255, 255], [0, 0, 0]]), path) == [[0, 1]]
    flipped = save(tmp_path / "p.png", with_palette([[0, 1]], [[255] * 3, [0] * 3]))
    with pytest.raises(BrokenSampleError, match="can be read in two ways"):
        MaskReader(2).read(flipped)


def test_masks_of_two_bits_hold_ids(tmp_path):
    """Pillow scales the grey values of a two-bit PNG to 0, 85, 170 and 255."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 4, 1, 2, 0, 0, 0, 0)
    body = zlib.compress(bytes([0, 0b00011011]))
    path = tmp_path / "m.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )
    assert np.asarray(Image.open(path)).tolist() == [[0, 85, 170, 255]]
    assert read(MaskReader(4), path) == [[0, 1, 2, 3]]
    assert read(MaskReader(4, values=[0, 85, 170, 255], ignored=[]), path) == [[0, 1, 2, 3]]


def test_gray_pixels_in_three_channels(tmp_path):
    """Red, green and blue of 0 and 1 are class ids, or the colours of two classes in the other order."""
    path = save(tmp_path / "m.png", Image.fromarray(GREYS[[[0, 1]]]))
    with pytest.raises(
        BrokenSampleError, match="grey value 0 .* by index it is the class '0', by colour the class '1'"
    ):
        MaskReader(2, colors=[[1, 1, 1], [0, 0, 0]]).read(path)
    assert read(MaskReader(2, colors=[[0, 0, 0], [1, 1, 1]]), path) == [[0, 1]]
    ids = save(tmp_path / "ids.png", Image.fromarray(GREYS[IDS]))
    assert read(MaskReader(3, colors=COLORS.tolist()), ids) == IDS.tolist()


def test_gray_masks_of_class_colours(tmp_path):
    """0 and 255 as black and white of two classes, or as a class and pixels that do not count."""
    colors = [[0, 0, 0], [255, 255, 255]]
    path = save(tmp_path / "m.png", Image.fromarray(np.array([[0, 255]], dtype=np.uint8)))
    with pytest.raises(BrokenSampleError, match="by index it is an ignored pixel, by colour the class '1'"):
        MaskReader(2, colors=colors).read(path)
    assert read(MaskReader(2, colors=colors, encoding="color"), path) == [[0, 1]]
    assert read(MaskReader(2, colors=colors, ignored=[]), path) == [[0, 1]]


def test_other_masks_decide(tmp_path):
    """A mask of 0 and 2 has two readings; one of 1 and 5 allows only grey values, so both are read that
    way."""
    reader = MaskReader(3, ignored=[5])
    paths = [
        save(tmp_path / f"{name}.gif", Image.fromarray(np.array([values], dtype=np.uint8)))
        for name, values in (("a", [0, 2]), ("b", [0, 1, 2, 5]))
    ]
    reader.settle(reader.load(path) for path in paths)
    assert reader.preferred == "color" and read(reader, paths[0]) == [[0, 2]]


def write_folder(root, masks):
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for number, mask in enumerate(masks):
        Image.fromarray(np.full((8, 8, 3), 9 * number, dtype=np.uint8)).save(
            root / "images" / f"{number}.png"
        )
        mask.resize((8, 8), Image.Resampling.NEAREST).save(root / "masks" / f"{number}.png")
    return str(root)


def test_different_palettes_in_different_files(tmp_path):
    orders = [[0, 1, 2], [2, 0, 1], [1, 0, 2], [1, 2, 0]] * 4
    root = write_folder(tmp_path, [with_palette(np.argsort(order)[IDS], COLORS[order]) for order in orders])
    data = MaskFolderDataModule(root, class_names=["a", "b", "c"], colors=COLORS.tolist())
    data.setup("fit")
    expected = np.asarray(Image.fromarray(IDS).resize((8, 8), Image.Resampling.NEAREST)).tolist()
    for split in data.splits.values():
        assert all(split.source[int(index)][1].tolist() == expected for index in split.indices)
    with pytest.raises(DataError) as caught:
        MaskFolderDataModule(root, class_names=["a", "b", "c"]).setup("fit")
    assert "The palettes of the masks differ" in str(caught.value) and "data.colors" in str(caught.value)


def test_ids_that_count_from_one(tmp_path):
    root = write_folder(tmp_path, [Image.fromarray(IDS % 2 + 1)] * 8)
    given = {"class_names": ["a", "b", "c"]}
    with pytest.raises(DataError) as caught:
        MaskFolderDataModule(root, **given).setup("fit")
    text = str(caught.value)
    assert "None of the 8 masks that were examined has the value 0; they have 1, 2." in text
    assert "is the class 'b': give data.class_values=[0,1,2]" in text
    assert "it is the class 'a': give data.class_values=[1,2,3]" in text
    data = MaskFolderDataModule(root, class_values=[1, 2, 3], **given)
    data.setup("fit")
    assert all(data.facts.class_counts[:2]) and not data.facts.class_counts[2]


def test_last_id_says_that_ids_count_from_one(tmp_path):
    path = save(tmp_path / "m.png", Image.fromarray(np.array([[0, 1, 3]], dtype=np.uint8)))
    with pytest.raises(BrokenSampleError) as caught:
        MaskReader(3).read(path)
    assert "data.ignore_index=3" in str(caught.value) and "data.class_values=[1,2,3]" in str(caught.value)


def test_two_spellings_of_one_class(tmp_path):
    masks = [Image.fromarray(np.array([[0, value]], dtype=np.uint8)) for value in (1, 255)] * 5
    root = write_folder(tmp_path, masks)
    with pytest.raises(
        DataError, match=r"Some masks have the values 0 and 1 .* others 0 and 255 .* data.mask_encoding"
    ):
        MaskFolderDataModule(root, class_names=["a", "b"]).setup("fit")
    MaskFolderDataModule(root, class_names=["a", "b"], mask_encoding="index").setup("fit")


@pytest.mark.parametrize("split", ["val", "test"])
def test_masks_of_every_split_are_looked_at(tmp_path, split):
    for part in ("train", "val", "test"):
        (tmp_path / part).mkdir()
        write_folder(tmp_path / part, [Image.fromarray(IDS)] * 4)
    Image.fromarray(np.full((8, 8), 77, dtype=np.uint8)).save(tmp_path / split / "masks" / "0.png")
    with pytest.raises(DataError, match="0.png has the value 77"):
        MaskFolderDataModule(str(tmp_path), class_names=["a", "b", "c"]).setup("fit")
