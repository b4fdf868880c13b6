"""CIFAR-10: 50 000 training and 10 000 test images in colour, 32 × 32 pixels, ten classes.

Krizhevsky: Learning multiple layers of features from tiny images, 2009. Read from the binary version of the
archive: the Python version is pickled, and unpickling can execute arbitrary code.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from runner.data.download.archive import extract
from runner.data.images.benchmark import ImageBenchmarkDataModule
from runner.data.split import ArraySource
from runner.errors import DataError

__all__ = ["CIFAR10DataModule"]

ARCHIVE = "cifar-10-binary.tar.gz"
FOLDER = "cifar-10-batches-bin"
FILES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
RECORD_BYTES = 1 + 3 * 32 * 32


class CIFAR10DataModule(ImageBenchmarkDataModule):
    """Six binary files, in ``root`` or in a folder ``cifar-10-batches-bin`` below it."""

    title = "cifar10"
    class_names = (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    image_shape = (3, 32, 32)
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)
    can_flip = True
    url = "https://www.cs.toronto.edu/~kriz/"
    files: ClassVar[dict[str, tuple[int, str]]] = {
        ARCHIVE: (170052171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd")
    }

    def missing(self, folder: Path) -> list[str]:
        inner = inner_folder(folder)
        return [name for names in FILES.values() for name in names if not (inner / name).is_file()]

    def check(self) -> list[str]:
        problems = super().check()
        if problems and (self.folder / "cifar-10-batches-py").is_dir():
            problems[0] += (
                " The folder has the Python version, which is pickled; the binary version is needed."
            )
        return problems

    def prepare_data(self) -> None:
        super().prepare_data()
        if self.root is None:
            extract(self.folder / ARCHIVE, self.folder / "extracted")

    def read_split(self, split: str) -> ArraySource:
        folder = inner_folder(self.folder if self.root else self.folder / "extracted")
        records = torch.cat([read_records(folder / name) for name in FILES[split]])
        images = records[:, 1:].reshape(-1, *self.image_shape)
        return ArraySource(images, records[:, 0].long(), label=f"{split} image")


def inner_folder(folder: Path) -> Path:
    return folder / FOLDER if (folder / FOLDER).is_dir() else folder


def read_records(path: Path) -> torch.Tensor:
    """Read uint8 records ``(N, 3073)``: the label, then the red, green and blue planes."""
    content = path.read_bytes()
    if not content or len(content) % RECORD_BYTES:
        raise DataError(
            f"{path} is incomplete: it has {len(content)} bytes, expected a multiple of {RECORD_BYTES}. "
            "Download it again."
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).view(-1, RECORD_BYTES)
