"""Base class of data modules for folders of annotated images."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Annotated, Unpack

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from runner.data.base import LoaderOptions
from runner.data.detection.annotation_errors import BadBoxes, find_faults, mend, refusal
from runner.data.detection.base import DetectionDataModule
from runner.data.detection.layout import folder_problems, usual_sides
from runner.data.detection.source import BoxFileSource, BoxTable, Reading
from runner.data.facts import Facts
from runner.data.images.augment import ImageAugment
from runner.data.images.decode import turned_note
from runner.data.labels import case_notices
from runner.errors import DataError

__all__ = ["AnnotatedImagesDataModule", "AnnotatedImagesOptions"]

logger = logging.getLogger(__name__)


class AnnotatedImagesOptions(LoaderOptions, total=False):
    """Keyword arguments that subclasses forward to ``AnnotatedImagesDataModule``."""

    bad_boxes: BadBoxes
    num_images: int | None
    augment: ImageAugment | None
    can_flip: bool
    val_fraction: float
    split_seed: int
    max_value: float | None
    batch_size: int


class AnnotatedImagesDataModule(DetectionDataModule):
    """Image files with annotations; a subclass reads their format.

    Only the annotations are kept in memory; images are read lazily. Images without boxes are kept as negative
    examples.

    Args:
        root: the folder.
        bad_boxes: treatment of invalid annotations (boxes without size or outside of their image, invalid
            numbers, unknown classes, missing images): ``refuse`` to train, ``drop`` them, or ``clip``, which
            drops them, too, but cuts boxes at the edge of their image.
        num_images: maximum number of images of each split, for quick experiments.
        val_fraction: fraction of the training images used for validation if there is no val split.
        split_seed: seed of the random split.
        max_value: the brightest value of images with 16 or 32 bits or of floating-point numbers, which
            becomes white: 4095 for 12 bits. When None, images of 16 bits whose brightest value shows that
            they have 8, 10, 12 or 14 bits are scaled accordingly, and others have 65535 as white.
    """

    can_scale = True
    groups_by = "name"

    def __init__(
        self,
        root: str,
        *,
        bad_boxes: BadBoxes = "refuse",
        num_images: Annotated[int, Gt(0)] | None = None,
        augment: ImageAugment | None = None,
        can_flip: bool = True,
        val_fraction: Annotated[float, Gt(0), Lt(1)] = 0.15,
        split_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 4,
        max_value: Annotated[float, Gt(0)] | None = None,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(augment=augment, can_flip=can_flip, batch_size=batch_size, **options)
        self.root = root
        self.bad_boxes = bad_boxes
        self.num_images = num_images
        self.val_fraction = val_fraction
        self.split_seed = split_seed
        self.max_value = max_value
        self.notices: list[str] = []

    @property
    def folder(self) -> Path:
        """The folder of images and annotations."""
        return Path(self.root).expanduser()

    def layout_problems(self) -> list[str]:
        """Return problems found in the listing of the folder."""
        return []

    def read(self) -> tuple[dict[str, Reading], list[str]]:
        """Return the annotations of each split and the class names in the order of their labels.

        Implementations also set ``notices``.

        Raises:
            DataError: the annotations cannot be read.
        """
        raise TypeError(f"{type(self).__name__} does not implement read().")

    def unused_files(self, readings: dict[str, Reading]) -> None:
        """Add images without annotations, and annotation files without an image, to ``dropped``."""

    def check(self) -> list[str]:
        """Returns problems with the folder, the annotation files and the images they name.

        No image is opened.
        """
        problems = folder_problems(self.root) or self.layout_problems()
        if problems:
            return problems
        try:
            readings = self.annotated(self.read()[0])
        except DataError as error:
            return [str(error)]
        if self.bad_boxes != "refuse":
            return []
        faults = {split: find_faults(reading, open_images=False) for split, reading in readings.items()}
        return [refusal(of_split, split) for split, of_split in faults.items() if of_split]

    def setup(self, stage: str | None = None) -> None:
        """Reads the annotations, once. Not needed for prediction.

        Raises:
            DataError: the annotations have errors, which are counted and named.
        """
        if self.splits or stage == "predict":
            return
        problems = folder_problems(self.root) or self.layout_problems()
        if problems:
            raise DataError("\n".join(problems))
        readings, class_names = self.read()
        self.unused_files(readings)
        readings = self.annotated(readings)
        tables, notes = self._mended(readings)
        tables = {
            split: table for split, table in tables.items() if split != "test" or self._has_boxes(table)
        }
        for notice in [
            *self.notices,
            *case_notices(class_names),
            *(note for note in notes if note.endswith("edge).")),
        ]:
            logger.warning(notice)
        self.detect_white(
            [Path(readings[split].root) / path for split, table in tables.items() for path in table.paths]
        )
        sources = {
            split: BoxFileSource(Path(readings[split].root), table, self.white)
            for split, table in tables.items()
        }
        for source in sources.values():
            paths = source.table.paths
            if note := turned_note(source.root, paths):
                logger.warning(note)
        parts = self._parts(sources)
        self.splits = {split: self.make_split(split, *part) for split, part in parts.items()}
        self.report_shared_names()
        self.facts = self._facts(parts, tables, class_names, notes)
        self._reject_emptiness(parts)
        self._count_crowds(*parts["train"])

    def annotated(self, readings: dict[str, Reading]) -> dict[str, Reading]:
        """Remove a test split without any boxes, since it cannot be evaluated."""
        for split, reading in readings.items():
            names = reading.unannotated
            total = len(reading.table) + len(names)
            self.dropped.add("images", len(names), "they have no annotation file", total, split, names)
        return {
            split: reading
            for split, reading in readings.items()
            if split != "test" or reading.corrupt or self._has_boxes(reading.table)
        }

    def _has_boxes(self, test: BoxTable) -> bool:
        """Return whether the test split can be evaluated; otherwise it is added to ``dropped``."""
        if not test.crowd.all():
            return True
        reason = "the test split has no boxes, so it cannot be evaluated"
        self.dropped.add("images", len(test), reason, len(test), "test", test.paths)
        return False

    def _mended(self, readings: dict[str, Reading]) -> tuple[dict[str, BoxTable], list[str]]:
        tables: dict[str, BoxTable] = {}
        notes: list[str] = []
        problems: list[str] = []
        for split, reading in readings.items():
            try:
                tables[split], of_split = mend(reading, self.bad_boxes, split, self.dropped)
                notes += of_split
            except DataError as error:
                problems.append(str(error))
        if problems:
            raise DataError("\n".join(problems))
        return tables, notes

    def _parts(self, sources: dict[str, BoxFileSource]) -> dict[str, tuple[BoxFileSource, Tensor]]:
        """Return source and indices of each split; a missing val split is split off from train."""
        parts = {split: (source, torch.arange(len(source))) for split, source in sources.items()}
        if "val" not in parts:
            source = sources["train"]
            names = [source.name(index) for index in range(len(source))]
            train, val, _ = self.split_names(names, self.val_fraction, seed=self.split_seed)
            train, val = self.fold(train, val, name=source.name)
            parts |= {"train": (sources["train"], train), "val": (sources["train"], val)}
        ordered = {split: parts[split] for split in ("train", "val", "test") if split in parts}
        for split, (_, indices) in ordered.items() if self.num_images else ():
            surplus = len(indices) - len(indices[: self.num_images])
            self.dropped.add("images", surplus, f"data.num_images={self.num_images}", len(indices), split)
        return {split: (source, indices[: self.num_images]) for split, (source, indices) in ordered.items()}

    def _reject_emptiness(self, parts: dict[str, tuple[BoxFileSource, Tensor]]) -> None:
        for split, (source, indices) in parts.items():
            if not (boxes_in(source, indices) & ~source.table.crowd).any():
                raise DataError(
                    f"The {len(indices)} images of {split} have no boxes at all. {self.folder} cannot be "
                    "used for training."
                )

    def _count_crowds(self, source: BoxFileSource, indices: Tensor) -> None:
        inside, crowd = boxes_in(source, indices), source.table.crowd
        reason = "they are marked as crowds or as difficult, and detectors do not train on them"
        self.dropped.add("boxes", int((inside & crowd).sum()), reason, int(inside.sum()), "train")

    def _facts(
        self,
        parts: dict[str, tuple[BoxFileSource, Tensor]],
        tables: dict[str, BoxTable],
        class_names: list[str],
        notes: list[str],
    ) -> Facts:
        source, indices = parts["train"]
        table = source.table
        inside = boxes_in(source, indices) & ~table.crowd
        shorter, longer = usual_sides(source.root, table, indices.tolist())
        digest = hashlib.blake2b(b"".join(table.digest() for table in tables.values()), digest_size=16)
        per_image = {
            split: np.diff(source.table.first)[indices.numpy()] for split, (source, indices) in parts.items()
        }
        return Facts(
            task="detection",
            input_shape=(3, shorter, longer),
            num_outputs=len(class_names),
            class_names=class_names,
            class_counts=np.bincount(table.labels[inside], minlength=len(class_names)).tolist(),
            **self.split_sizes(),
            name=self.folder.absolute().name,
            source=str(self.folder.absolute()),
            digest=digest.hexdigest(),
            extra={
                "shorter_side": shorter,
                "longer_side": longer,
                "num_boxes": {split: int(counts.sum()) for split, counts in per_image.items()},
                "images_without_boxes": {
                    split: int((counts == 0).sum()) for split, counts in per_image.items()
                },
                "mended": notes,
            },
        )


def boxes_in(source: BoxFileSource, indices: Tensor) -> np.ndarray:
    """Return which boxes of a source belong to the images ``indices``, bool ``(M,)``."""
    kept = np.zeros(len(source), dtype=bool)
    kept[indices.numpy()] = True
    return kept[source.table.image]
