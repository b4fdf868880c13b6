"""MNIST and Fashion-MNIST, and the idx format of their files."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from runner.data.images.benchmark import ImageBenchmarkDataModule
from runner.data.split import ArraySource
from runner.errors import DataError

__all__ = ["FashionMNISTDataModule", "MNISTDataModule", "find_idx", "read_idx"]

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def find_idx(folder: str | Path, name: str) -> Path | None:
    """Return the file with this name in the folder, plain or with ``.gz``; None if there is none."""
    plain = Path(folder) / name
    for path in (plain, plain.with_name(name + ".gz")):
        if path.is_file():
            return path
    return None


def read_idx(path: str | Path) -> Tensor:
    """Read the array in an idx file.

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


class MNISTDataModule(ImageBenchmarkDataModule):
    """Four idx files, plain or gzipped."""

    title = "mnist"
    class_names = tuple("0123456789")
    image_shape = (1, 28, 28)
    mean = (0.1307,)
    std = (0.3081,)
    url = "https://storage.googleapis.com/cvdf-datasets/mnist/"
    files: ClassVar[dict[str, tuple[int, str]]] = {
        "train-images-idx3-ubyte.gz": (
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        "train-labels-idx1-ubyte.gz": (
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        "t10k-images-idx3-ubyte.gz": (
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        "t10k-labels-idx1-ubyte.gz": (
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    }

    def missing(self, folder: Path) -> list[str]:
        return [name for name in self.files if find_idx(folder, name.removesuffix(".gz")) is None]

    def read_split(self, split: str) -> ArraySource:
        prefix = {"train": "train", "test": "t10k"}[split]
        images, labels = (
            read_idx(find_idx(self.folder, name) or self.folder / name)
            for name in (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
        )
        if len(images) != len(labels):
            raise DataError(
                f"{self.folder} holds {len(images)} {split} images but {len(labels)} labels. Download the "
                "files again."
            )
        return ArraySource(images[:, None], labels.long(), label=f"{split} image")


class FashionMNISTDataModule(MNISTDataModule):
    """Four files in the format of MNIST."""

    title = "fashion_mnist"
    class_names = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    mean = (0.2860,)
    std = (0.3530,)
    can_flip = True
    url = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    files: ClassVar[dict[str, tuple[int, str]]] = {
        "train-images-idx3-ubyte.gz": (
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        "train-labels-idx1-ubyte.gz": (
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        "t10k-images-idx3-ubyte.gz": (
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        "t10k-labels-idx1-ubyte.gz": (
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    }
