"""The idx format of MNIST and related data sets: a big-endian array after a header with its shape, often gzipped."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from runner.errors import DataError

__all__ = ["find_idx", "read_idx"]

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def find_idx(folder: str | Path, name: str) -> Path | None:
    """Returns the file with this name in the folder, plain or with ``.gz``."""
    plain = Path(folder) / name
    for path in (plain, plain.with_name(name + ".gz")):
        if path.is_file():
            return path
    return None


def read_idx(path: str | Path) -> Tensor:
    """Reads the array in an idx file.

    Raises:
        DataError: the file is not an idx file, or incomplete.
    """
    path = Path(path)
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}). Download it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES:
        raise DataError(f"{path} is not an idx file: it begins with {data[:4].hex(' ') or 'nothing'}.")
    header_size = 4 + 4 * data[3]
    if len(data) < header_size:
        raise DataError(f"{path} is incomplete: it ends in its header. Download it again.")
    shape = tuple(np.frombuffer(data[4:header_size], ">u4").tolist())
    dtype = np.dtype(TYPES[data[2]])
    expected = header_size + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise DataError(
            f"{path} is incomplete: its header declares an array of {' × '.join(map(str, shape))}, "
            f"{expected} bytes with the header, but it holds {len(data)}. Download it again."
        )
    array = np.frombuffer(data, dtype, offset=header_size).reshape(shape)
    return torch.from_numpy(array.astype(dtype.newbyteorder("=")))
