"""The base of the well-known sets of small images: an official test split, files in a folder or downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from runner.data.download.file import data_folder, download
from runner.data.images.array import ImageArrayDataModule
from runner.data.split import ArraySource
from runner.errors import DataError

__all__ = ["ImageBenchmarkDataModule"]


class ImageBenchmarkDataModule(ImageArrayDataModule):
    """Images whose test split is official: it is only tested on, and validation is cut from train.

    Args:
        root: a folder that holds the files already; they are downloaded when None.
        data_dir: where downloads are kept; see ``runner.data.download.file.data_folder``.
        val_size: images of the training files that validate.
        split_seed: of that cut.

    Attributes:
        url: the folder on the web.
        files: what is fetched from there: name → (bytes, SHA-256), as TensorFlow Datasets lists them.
    """

    url: ClassVar[str]
    files: ClassVar[dict[str, tuple[int, str]]]

    def __init__(
        self,
        root: str | None = None,
        data_dir: str | None = None,
        val_size: Annotated[int, Gt(0)] = 5000,
        split_seed: Annotated[int, Ge(0)] = 0,
        augment: Callable[..., Tensor] | None = None,
        num_components: Annotated[int, Gt(0)] | None = None,
        batch_size: Annotated[int, Gt(0)] = 64,
        eval_batch_size: Annotated[int, Gt(0)] | None = None,
        num_workers: Annotated[int, Ge(0)] = 0,
        seed: Annotated[int, Ge(0)] = 0,
        drop_last: bool = False,
    ):
        super().__init__(augment, num_components, batch_size, eval_batch_size, num_workers, seed, drop_last)
        self.root = root
        self.data_dir = data_dir
        self.val_size = val_size
        self.split_seed = split_seed

    def missing(self, folder: Path) -> list[str]:
        """Files that the folder should hold and does not."""
        raise TypeError(f"{type(self).__name__} does not say which files it reads")

    def read_split(self, split: str) -> ArraySource:
        """All images of ``train`` (validation is cut from it afterwards) or of ``test``."""
        raise TypeError(f"{type(self).__name__} does not say how it is read")

    @property
    def folder(self) -> Path:
        return Path(self.root).expanduser() if self.root else data_folder(self.data_dir) / self.title

    def check(self) -> list[str]:
        if self.root is None:
            return []
        remedy = f"Put the files of {self.title} there, or leave data.root out to download them."
        if not self.folder.is_dir():
            return [f"data.root={self.root}: there is no such folder. {remedy}"]
        missing = self.missing(self.folder)
        if not missing:
            return []
        there = sorted(path.name for path in self.folder.iterdir())
        shown = ", ".join(there[:8]) + (" …" if len(there) > 8 else "") if there else "nothing"
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
                f"data.val_size={self.val_size} leaves none of the {len(train)} images to train on; give less."
            )
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(self.split_seed))
        val, rest = order[: self.val_size].sort().values, order[self.val_size :].sort().values
        rest, val = self.fold(rest, val, train.targets, train.name)
        return {"train": (train, rest), "val": (train, val), "test": (test, torch.arange(len(test)))}

    def source_name(self) -> str:
        return self.url if self.root is None else str(self.folder.absolute())
