"""Idx files, whole and rotten."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from runner.data.images.mnist import find_idx, read_idx
from runner.errors import DataError

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
WHOLE = b"\0\0\x08\x03" + b"\0\0\0\x02" + b"\0\0\0\x03" + b"\0\0\0\x04" + IMAGES.tobytes()


@pytest.mark.parametrize(
    ("code", "dtype"),
    [
        (0x08, np.uint8),
        (0x09, np.int8),
        (0x0B, np.int16),
        (0x0C, np.int32),
        (0x0D, np.float32),
        (0x0E, np.float64),
    ],
)
def test_arrays_of_every_type_are_read(tmp_path: Path, idx_bytes, code: int, dtype: type):
    array = np.array([[1, -2 if dtype is not np.uint8 else 2], [3, 100]], dtype=dtype)
    (tmp_path / "numbers").write_bytes(idx_bytes(array, code))
    tensor = read_idx(tmp_path / "numbers")
    assert tensor.numpy().dtype == np.dtype(dtype)
    assert tensor.tolist() == array.tolist()


def test_gzipped_files_are_read(tmp_path: Path):
    (tmp_path / "images.gz").write_bytes(gzip.compress(WHOLE, mtime=0))
    assert torch.equal(read_idx(tmp_path / "images.gz"), torch.from_numpy(IMAGES))


def test_files_are_found_plain_before_gzipped(tmp_path: Path):
    assert find_idx(tmp_path, "images") is None
    (tmp_path / "images.gz").touch()
    assert find_idx(tmp_path, "images") == tmp_path / "images.gz"
    (tmp_path / "images").touch()
    assert find_idx(tmp_path, "images") == tmp_path / "images"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file: it begins with nothing"),
        (b"\x89PNG....", "not an idx file: it begins with 89 50 4e 47"),
        (WHOLE[:-1], "declares an array of 2 × 3 × 4, 40 bytes with the header, but it holds 39"),
        (WHOLE + b"x", "it holds 41"),
        (WHOLE[:9], "incomplete"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_idx(tmp_path / "images")
    assert str(tmp_path / "images") in str(error.value)


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(WHOLE, mtime=0)[:20]])
def test_damaged_gzip_files_are_named(tmp_path: Path, content: bytes):
    (tmp_path / "images.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"images\.gz is a damaged gzip file"):
        read_idx(tmp_path / "images.gz")


def test_unreadable_file_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="nothing cannot be read: No such file"):
        read_idx(tmp_path / "nothing")
