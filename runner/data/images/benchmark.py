"""Base class of benchmarks of small images with an official test split, read from a folder or downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Unpack

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from runner.data.download.file import data_folder, download
from runner.data.images.array import ImageArrayDataModule, ImageArrayOptions
from runner.data.split import ArraySource
from runner.errors import DataError

__all__ = ["ImageBenchmarkDataModule"]


class ImageBenchmarkDataModule(ImageArrayDataModule):
    """Images with an official test split; validation images are split off from the training images.

    Args:
        root: a folder that contains the files; they are downloaded when None.
        data_dir: folder for downloads; see ``runner.data.download.file.data_folder``.
        val_size: number of training images used for validation.
        split_seed: seed of the split into train and val.

    Attributes:
        url: base URL of the files.
        files: files to download, name → (bytes, SHA-256), as listed by TensorFlow Datasets.
    """

    url: ClassVar[str]
    files: ClassVar[dict[str, tuple[int, str]]]

    def __init__(
        self,
        root: str | None = None,
        *,
        data_dir: str | None = None,
        val_size: Annotated[int, Gt(0)] = 5000,
        split_seed: Annotated[int, Ge(0)] = 0,
        **options: Unpack[ImageArrayOptions],
    ) -> None:
        super().__init__(**options)
        self.root = root
        self.data_dir = data_dir
        self.val_size = val_size
        self.split_seed = split_seed

    def missing(self, folder: Path) -> list[str]:
        """Return the required files that the folder lacks."""
        raise TypeError(f"{type(self).__name__} does not implement missing().")

    def read_split(self, split: str) -> ArraySource:
        """Read all images of ``train`` (including the validation images) or of ``test``."""
        raise TypeError(f"{type(self).__name__} does not implement read_split().")

    @property
    def folder(self) -> Path:
        """The folder of the files."""
        return Path(self.root).expanduser() if self.root else data_folder(self.data_dir) / self.title

    def check(self) -> list[str]:
        if self.root is None:
            return []
        remedy = f"Put the files of {self.title} there, or leave data.root out to download them."
        if not self.folder.is_dir():
            return [f"data.root={self.root}: no such folder. {remedy}"]
        missing = self.missing(self.folder)
        if not missing:
            return []
        names = sorted(path.name for path in self.folder.iterdir())
        shown = ", ".join(names[:8]) + (" …" if len(names) > 8 else "") if names else "nothing"
        return [f"data.root={self.root} lacks {', '.join(missing)}; it holds {shown}. {remedy}"]

    def prepare_data(self) -> None:
        if self.root is None:
            for name, (size, sha256) in self.files.items():
                download(self.url + name, self.folder / name, sha256, size)

    def read(self) -> dict[str, tuple[ArraySource, Tensor]]:
        problems = self.check()
        if problems:
            raise DataError("\n".join(problems))
        train, test = self.read_split("train"), self.read_split("test")
        if self.val_size >= len(train):
            raise DataError(
                f"data.val_size={self.val_size} leaves none of the {len(train)} images for training; choose "
                "a smaller value."
            )
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(self.split_seed))
        val, rest = order[: self.val_size].sort().values, order[self.val_size :].sort().values
        rest, val = self.fold(rest, val, train.targets, train.name)
        return {"train": (train, rest), "val": (train, val), "test": (test, torch.arange(len(test)))}

    def source_name(self) -> str:
        return self.url if self.root is None else str(self.folder.absolute())
