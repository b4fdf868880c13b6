"""The base of folders of annotated images."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from runner.data.base import split_indices
from runner.data.detection.base import DetectionDataModule
from runner.data.detection.faults import BadBoxes, mend
from runner.data.detection.layout import folder_problems
from runner.data.detection.size import usual_sides
from runner.data.detection.source import BoxFileSource
from runner.data.detection.table import BoxTable, Reading
from runner.data.facts import Facts
from runner.data.images.augment import ImageAugment
from runner.data.images.brightness import look_at_brightness
from runner.errors import DataError

__all__ = ["AnnotatedImagesDataModule"]

logger = logging.getLogger(__name__)


class AnnotatedImagesDataModule(DetectionDataModule):
    """Image files with annotations in one of the usual formats; a subclass reads it.

    Only the annotations are kept in memory; an image is read when it is its turn. Images without boxes are
    kept: they show what there is not.

    Args:
        root: the folder.
        bad_boxes: what is done about annotations that cannot be right (boxes without size or outside of their
            image, numbers that are none, classes without a name, images that are not there): ``refuse`` to
            train, ``drop`` what is bad, or ``clip``, which drops too, but cuts boxes at the image's edge.
        num_images: only the first so many images of each split, to try things out.
        val_fraction: of the training images, where there is no val split.
        split_seed: of that cut.
        max_value: the brightest value of images with 16 or 32 bits or of floating-point numbers, which becomes white: 4095
            for 12 bits. 65535 for 16 bits when None.
    """

    def __init__(
        self,
        root: str,
        bad_boxes: BadBoxes = "refuse",
        num_images: Annotated[int, Gt(0)] | None = None,
        augment: ImageAugment | None = None,
        can_flip: bool = True,
        val_fraction: Annotated[float, Gt(0), Lt(1)] = 0.15,
        split_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 4,
        eval_batch_size: Annotated[int, Gt(0)] | None = None,
        num_workers: Annotated[int, Ge(0)] = 0,
        seed: Annotated[int, Ge(0)] = 0,
        drop_last: bool = False,
        max_value: Annotated[float, Gt(0)] | None = None,
    ):
        super().__init__(augment, can_flip, batch_size, eval_batch_size, num_workers, seed, drop_last)
        self.root = root
        self.bad_boxes = bad_boxes
        self.num_images = num_images
        self.val_fraction = val_fraction
        self.split_seed = split_seed
        self.max_value = max_value

    @property
    def folder(self) -> Path:
        return Path(self.root).expanduser()

    def layout_problems(self) -> list[str]:
        """What is wrong with the folder, by its listing alone."""
        return []

    def read(self) -> tuple[dict[str, Reading], list[str]]:
        """What the annotations of each split say, and the names of the classes in the order of their labels.

        Raises:
            DataError: they cannot be read at all.
        """
        raise TypeError(f"{type(self).__name__} does not say how it is read")

    def check(self) -> list[str]:
        return folder_problems(self.root) or self.layout_problems()

    def setup(self, stage: str | None = None) -> None:
        """Reads the annotations, once. A prediction needs none of them.

        Raises:
            DataError: they are not as they should be; every fault is counted and named.
        """
        if self.splits or stage == "predict":
            return
        problems = self.check()
        if problems:
            raise DataError("\n".join(problems))
        readings, class_names = self.read()
        tables, notes = self._mended(readings)
        for note in notes:
            logger.warning(note)
        sources = {split: BoxFileSource(Path(readings[split].root), table, self.max_value) for split, table in tables.items()}
        for source in sources.values():
            if note := look_at_brightness(source.root, source.table.paths, self.max_value):
                logger.warning(note)
        self.splits = {split: self.make_split(split, *part) for split, part in self._parts(sources).items()}
        self.facts = self._facts(tables, class_names, notes)
        self._refuse_emptiness()

    def _mended(self, readings: dict[str, Reading]) -> tuple[dict[str, BoxTable], list[str]]:
        tables, notes, problems = {}, [], []
        for split, reading in readings.items():
            try:
                tables[split], found = mend(reading, self.bad_boxes, split)
                notes += found
            except DataError as error:
                problems.append(str(error))
        if problems:
            raise DataError("\n".join(problems))
        return tables, notes

    def _parts(self, sources: dict[str, BoxFileSource]) -> dict[str, tuple[BoxFileSource, Tensor]]:
        """Source and indices of each split; val is cut from train where there is none."""
        parts = {split: (source, torch.arange(len(source))) for split, source in sources.items()}
        if "val" not in parts:
            train, val, _ = split_indices(len(sources["train"]), self.val_fraction, seed=self.split_seed)
            train, val = self.fold(train, val, name=sources["train"].name)
            parts |= {"train": (sources["train"], train), "val": (sources["train"], val)}
        ordered = {split: parts[split] for split in ("train", "val", "test") if split in parts}
        return {split: (source, indices[: self.num_images]) for split, (source, indices) in ordered.items()}

    def _refuse_emptiness(self) -> None:
        for split, part in self.splits.items():
            table, kept = part.source.table, np.zeros(len(part.source), dtype=bool)
            kept[part.indices.numpy()] = True
            if not (kept[table.image] & ~table.crowd).any():
                raise DataError(f"The {len(part)} images of {split} have no boxes at all. {self.folder} is no use so.")

    def _facts(self, tables: dict[str, BoxTable], class_names: list[str], notes: list[str]) -> Facts:
        train = self.splits["train"]
        table = train.source.table
        inside = np.isin(table.image, train.indices.numpy()) & ~table.crowd
        shorter, longer = usual_sides(Path(train.source.root), table, train.indices.tolist())
        digest = hashlib.blake2b(b"".join(table.digest() for table in tables.values()), digest_size=16)
        without = {split: int((np.diff(table.first) == 0).sum()) for split, table in tables.items()}
        return Facts(
            task="detection",
            input_shape=(3, shorter, longer),
            num_outputs=len(class_names),
            class_names=class_names,
            class_counts=np.bincount(table.labels[inside], minlength=len(class_names)).tolist(),
            **{f"num_{split}": len(part) for split, part in self.splits.items()},
            name=self.folder.absolute().name,
            source=str(self.folder.absolute()),
            digest=digest.hexdigest(),
            extra={
                "shorter_side": shorter,
                "longer_side": longer,
                "num_boxes": {split: len(table.boxes) for split, table in tables.items()},
                "images_without_boxes": without,
                "mended": notes,
            },
        )
