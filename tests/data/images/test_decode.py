"""Image files of every kind, whole and broken."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from runner.data.images.decode import decode_image, read_image, read_new_image
from runner.errors import BrokenSampleError, DataError


@pytest.fixture(scope="module")
def base(photo) -> Image.Image:
    return Image.open(io.BytesIO(photo(0, (30, 20), "PNG"))).copy()


def encoded(image: Image.Image, format: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def png(width: int, height: int, depth: int, color: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
def test_lossless_formats(base, format):
    assert torch.equal(decode_image(encoded(base, format)), tensor(base))


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats(base, format):
    out = decode_image(encoded(base, format))
    assert out.shape == (3, 20, 30) and out.dtype == torch.uint8
    assert (out.float() - tensor(base).float()).abs().mean() < 20


def test_jpeg_has_the_pixels_that_pillow_decodes(base):
    content = encoded(base, "JPEG")
    assert torch.equal(decode_image(content), tensor(Image.open(io.BytesIO(content))))


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA"])
def test_png_modes_become_rgb(base, mode):
    out = decode_image(encoded(base.convert(mode), "PNG"))
    assert torch.equal(out, tensor(base.convert(mode)))


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(base, format):
    out = decode_image(encoded(base.convert("CMYK"), format))
    assert (out.float() - tensor(base).float()).abs().mean() < 8


def test_transparent_pixels_are_white(base):
    image = base.convert("RGBA")
    image.putalpha(0)
    assert decode_image(encoded(image, "PNG")).min() == 255
    image.putalpha(128)
    half = (tensor(base).float() * 128 + 255 * 127) / 255
    assert (decode_image(encoded(image, "PNG")).float() - half).abs().max() <= 1
    palette = Image.new("P", (2, 2), 0)
    assert decode_image(encoded(palette, "PNG", transparency=0)).min() == 255


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_cut_off(format):
    values = np.linspace(0, 65535, 256 * 4).astype(np.uint16).reshape(4, 256)
    out = decode_image(encoded(Image.fromarray(values), format))
    assert (out[0].numpy() - values / 257).__abs__().max() <= 0.5
    assert torch.equal(out[0], out[2])


def test_sixteen_bit_colour_png():
    row = b"\0" + struct.pack(">3H", 65535, 32768, 256) * 2
    assert decode_image(png(2, 2, 16, 2, row * 2))[:, 0, 0].tolist() == [255, 128, 1]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("orientation", "turn"), [(3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_followed(base, format, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} | ({"lossless": True} if format == "WEBP" else {})
    turned = decode_image(encoded(base, format, exif=exif, **options))
    plain = decode_image(encoded(base, format, **options))
    assert (turned.float() - plain.rot90(turn, (1, 2)).float()).abs().mean() < 3


def test_content_decides_the_format_not_the_name(base, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(base, "PNG"))
    assert torch.equal(read_image(path), tensor(base))


def broken(base: Image.Image) -> dict[str, tuple[bytes, str]]:
    jpeg, whole_png = encoded(base, "JPEG"), encoded(base, "PNG")
    flipped = bytearray(whole_png)
    flipped[len(flipped) // 2] ^= 0xFF
    huge = bytearray(jpeg)
    at = huge.index(b"\xff\xc0") + 5
    huge[at : at + 4] = struct.pack(">HH", 65000, 65000)
    return {
        "empty": (b"", "the file is empty"),
        "text": (b"<html></html>", "not an image of a known format (it begins with b'<html></')"),
        "truncated jpeg": (jpeg[: len(jpeg) * 9 // 10], "incomplete or truncated"),
        "jpeg without its last bytes": (jpeg[:-2], "incomplete or truncated"),
        "zeroed jpeg": (jpeg[:200] + bytes(500), "incomplete or truncated"),
        "truncated png": (whole_png[: len(whole_png) // 2], "truncated"),
        "flipped png": (bytes(flipped), ""),
        "png bomb": (png(50000, 50000, 8, 2, bytes(100)), "more than 89,478,485 pixels"),
        "jpeg bomb": (bytes(huge), "more than 89,478,485 pixels"),
        "float tiff": (encoded(base.convert("F"), "TIFF"), "floating-point"),
        "32-bit tiff": (encoded(Image.fromarray(np.full((4, 4), 70000, np.int32)), "TIFF"), "16 bits"),
        "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    }


@pytest.mark.parametrize("kind", list(broken(Image.new("RGB", (9, 9)))))
def test_broken_file_is_named_with_its_reason(base, tmp_path, kind):
    content, reason = broken(base)[kind]
    path = tmp_path / "pic ture.jpg"
    path.write_bytes(content)
    with pytest.raises(BrokenSampleError) as caught:
        read_image(path)
    assert str(path) in str(caught.value) and reason in str(caught.value)
    assert "runner data verify" in str(caught.value)

    with pytest.raises(DataError) as caught:
        read_new_image(path)
    assert str(path) in str(caught.value) and reason in str(caught.value)
    assert "Leave it out" in str(caught.value) and "verify" not in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(BrokenSampleError, match="gone.jpg cannot be read: No such file"):
        read_image(tmp_path / "gone.jpg")
