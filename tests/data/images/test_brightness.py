"""Images with more than eight bits: their range is given, or its waste is reported."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from runner.data.detection.yolo import YoloDataModule
from runner.data.images.brightness import find_white
from runner.data.images.decode import read_image
from runner.data.images.digits import DigitsDataModule
from runner.data.images.folder import ImageFolderDataModule
from runner.data.segmentation.folder import MaskFolderDataModule
from runner.data.segmentation.shapes import ShapesSegmentationDataModule
from runner.errors import BrokenSampleError, DataError

TWELVE_BITS = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def write(root, values, extension="png", count=12):
    for name in "ab":
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.fromarray(values).save(root / name / f"{number}.{extension}")
    return str(root)


@pytest.mark.parametrize(
    ("values", "extension", "white"),
    [
        (TWELVE_BITS, "png", 4095),
        (TWELVE_BITS, "tif", 4095),
        (TWELVE_BITS.astype(np.int32) * 100, "tif", 409500),
        (TWELVE_BITS.astype(np.float32) / 4095, "tif", 1),
    ],
)
def test_value_of_white_is_given(tmp_path, values, extension, white):
    path = tmp_path / f"a.{extension}"
    Image.fromarray(values).save(path)
    out = read_image(path, white)
    assert out.shape == (3, 64, 64) and out.dtype == torch.uint8
    assert np.abs(out[0].numpy() - values.astype(np.float64) * 255 / white).max() <= 0.5001
    assert torch.equal(out[0], out[2]) and out.unique().numel() == 256
    with pytest.raises(
        BrokenSampleError, match=f"white is {white / 2:g}; another one is given with data.max_value"
    ):
        read_image(path, white / 2)


def test_images_of_eight_bits_do_not_use_it(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(path)
    assert torch.equal(read_image(path, 4095), read_image(path))


def test_colour_of_sixteen_bits(tmp_path):
    """Written by hand: Pillow has no such images."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + struct.pack(">6H", 4095, 2048, 0, 16, 1000, 4000)
    content = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)) + chunk(
        b"IDAT", zlib.compress(row)
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content + chunk(b"IEND", b""))
    # 2048 · 255 / 4095 = 127.53, 16 · 255 / 4095 = 1.00, 1000 · 255 / 4095 = 62.27, 4000 · 255 / 4095 =
    # 249.08
    assert read_image(tmp_path / "a.png", 4095)[:, 0].T.tolist() == [[255, 128, 0], [1, 62, 249]]
    white, note = find_white([tmp_path / "a.png"], None)
    assert white == 4095 and "is 4095 of 65535" in note


def color_tiff(values, order, compression):
    """Written by hand: Pillow has no such images."""
    import struct
    import zlib

    height, width, channels = values.shape
    data = values.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if compression == 8 else data
    tags = {
        256: width,
        257: height,
        258: None,
        259: compression,
        262: 2,
        273: None,
        277: channels,
        278: height,
        279: len(data),
        284: 1,
    } | ({338: 2} if channels == 4 else {})
    bits = 8 + 2 + 12 * len(tags) + 4
    tags |= {258: bits, 273: bits + 2 * channels}
    content = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    for tag, value in tags.items():
        count = channels if tag == 258 else 1
        content += struct.pack(f"{order}HHII", tag, 4 if tag != 258 else 3, count, value)
    return content + struct.pack(f"{order}I", 0) + struct.pack(f"{order}{channels}H", *[16] * channels) + data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, 8])
@pytest.mark.parametrize("channels", [3, 4])
def test_colour_tiff_of_sixteen_bits(tmp_path, order, compression, channels):
    values = np.random.default_rng(0).integers(0, 4096, (6, 8, channels))
    values[0, 0, 0] = 4095
    (tmp_path / "a.tif").write_bytes(color_tiff(values, order, compression))
    expected = np.floor(values[..., :3] * 255 / 4095 + 0.5).transpose(2, 0, 1)
    assert np.array_equal(read_image(tmp_path / "a.tif", 4095).numpy(), expected)
    white, note = find_white([tmp_path / "a.tif"], None)
    assert white == 4095 and "is 4095 of 65535" in note


@pytest.mark.parametrize(("highest", "bits"), [(255, 8), (1023, 10), (3399, 12), (16383, 14)])
def test_images_that_use_a_part_of_their_range_are_reported(tmp_path, caplog, highest, bits):
    root = write(tmp_path, (TWELVE_BITS / 4095 * highest).round().astype(np.uint16))
    with caplog.at_level(logging.WARNING):
        automatic = ImageFolderDataModule(root)
        automatic.setup("fit")
    assert f"is {highest} of 65535" in caplog.text and f"in which {2**bits - 1} is white" in caplog.text
    caplog.clear()
    data = ImageFolderDataModule(root, max_value=2**bits - 1)
    data.setup("fit")
    assert not caplog.text and data.splits["train"].source[0][0].max() == round(highest * 255 / (2**bits - 1))
    (_, image), *_ = data.read_inputs([root + "/a/0.png"])
    assert image.max() == data.splits["val"].sample(0, 0)[0].max()
    assert torch.equal(automatic.splits["train"].source[0][0], data.splits["train"].source[0][0])
    restored = ImageFolderDataModule(root)
    restored.load_state_dict(automatic.state_dict())
    assert torch.equal(next(iter(restored.read_inputs([root + "/a/0.png"])))[1], image)
    assert data.state_dict() == {}


def test_one_bright_image_among_many_decides(tmp_path, caplog):
    root = write(tmp_path, TWELVE_BITS, count=80)
    Image.fromarray(TWELVE_BITS * 16).save(tmp_path / "b" / "33.png")
    data = ImageFolderDataModule(root)
    data.setup("fit")
    assert data.white is None and not caplog.text
    assert data.splits["train"].source[0][0].max() == round(4095 * 255 / 65535)


def test_images_that_use_their_range_are_not_reported(tmp_path, caplog):
    ImageFolderDataModule(write(tmp_path, TWELVE_BITS * 16)).setup("fit")
    assert not caplog.text


def test_verify_reports_the_brightest_value(tmp_path, caplog):
    root = write(tmp_path, TWELVE_BITS)
    assert ImageFolderDataModule(root).verify() == []
    assert "The brightest value of the 24 images with 16 bits per channel is 4095 of 65535" in caplog.text


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        (TWELVE_BITS.astype(np.float32) / 4095, "data.max_value=1"),
        (TWELVE_BITS.astype(np.int32) * 100, "data.max_value=409500"),
    ],
)
def test_unknown_range_is_rejected_before_training(tmp_path, values, hint):
    root = write(tmp_path, values, "tif")
    with pytest.raises(DataError, match=hint):
        ImageFolderDataModule(root).setup("fit")
    with pytest.raises(DataError, match=r"its values are 0 … .*; expected 0 … 0.5"):
        ImageFolderDataModule(root, max_value=0.5).setup("fit")


def test_images_with_masks(tmp_path, caplog):
    for kind, values in (("images", TWELVE_BITS), ("masks", (TWELVE_BITS % 2).astype(np.uint8))):
        (tmp_path / kind).mkdir()
        for number in range(8):
            Image.fromarray(values).save(tmp_path / kind / f"{number}.png")
    automatic = MaskFolderDataModule(str(tmp_path), class_names=["a", "b"])
    automatic.setup("fit")
    assert "in which 4095 is white" in caplog.text
    data = MaskFolderDataModule(str(tmp_path), class_names=["a", "b"], max_value=4095)
    data.setup("fit")
    expected = torch.tensor((TWELVE_BITS * 255.0 / 4095 + 0.5).astype(np.uint8))
    assert torch.equal(data.splits["train"].source[0][0][0], expected)
    assert torch.equal(automatic.splits["train"].source[0][0][0], expected)
    for module in (data, automatic):
        (_, image), *_ = module.read_inputs([str(tmp_path / "images" / "0.png")])
        assert torch.equal(image[0], expected)


def test_images_with_boxes(tmp_path, caplog):
    for split in ("train", "val"):
        (tmp_path / "images" / split).mkdir(parents=True)
        (tmp_path / "labels" / split).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(TWELVE_BITS).save(tmp_path / "images" / split / f"{number}.png")
            (tmp_path / "labels" / split / f"{number}.txt").write_text("0 0.5 0.5 0.4 0.4\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a]\n")
    data = YoloDataModule(str(tmp_path))
    data.setup("fit")
    assert caplog.text.count("in which 4095 is white") == 1 and data.state_dict() == {"white": 4095}
    expected = torch.tensor((TWELVE_BITS * 255.0 / 4095 + 0.5).astype(np.uint8))
    assert torch.equal(data.splits["train"].source[0][0][0], expected)
    (_, image), *_ = data.read_inputs([str(tmp_path / "images" / "train" / "0.png")])
    assert torch.equal(image[0], expected)


@pytest.mark.parametrize("make", [DigitsDataModule, ShapesSegmentationDataModule])
def test_data_sets_without_the_option_do_not_name_it(tmp_path, make):
    Image.fromarray(TWELVE_BITS.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="range is unknown .*Convert it to eight bits") as error:
        list(make().read_inputs([str(tmp_path / "a.tif")]))
    assert "max_value" not in str(error.value)
