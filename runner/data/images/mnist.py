"""MNIST: handwritten digits, 60 000 to train and 10 000 to test, 28 × 28 grey pixels.

LeCun, Cortes, Burges: The MNIST database of handwritten digits, 1998.
"""

from __future__ import annotations

from pathlib import Path

from runner.data.images.benchmark import ImageBenchmarkDataModule
from runner.data.images.idx import find_idx, read_idx
from runner.data.split import ArraySource
from runner.errors import DataError

__all__ = ["MNISTDataModule"]


class MNISTDataModule(ImageBenchmarkDataModule):
    """Four idx files, plain or gzipped."""

    title = "mnist"
    class_names = tuple("0123456789")
    image_shape = (1, 28, 28)
    mean = (0.1307,)
    std = (0.3081,)
    url = "https://storage.googleapis.com/cvdf-datasets/mnist/"
    files = {
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
        images = read_idx(find_idx(self.folder, f"{prefix}-images-idx3-ubyte"))
        labels = read_idx(find_idx(self.folder, f"{prefix}-labels-idx1-ubyte"))
        if len(images) != len(labels):
            raise DataError(
                f"{self.folder} holds {len(images)} {split} images but {len(labels)} labels. Download the files again."
            )
        return ArraySource(images[:, None], labels.long(), label=f"{split} image")
