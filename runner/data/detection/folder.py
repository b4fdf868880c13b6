"""The base class of folders of annotated images."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Annotated, Unpack

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from runner.data.base import LoaderOptions, split_indices
from runner.data.detection.annotation_errors import BadBoxes, find_faults, mend, refusal
from runner.data.detection.base import DetectionDataModule
from runner.data.detection.layout import folder_problems, usual_sides
from runner.data.detection.source import BoxFileSource, BoxTable, Reading
from runner.data.facts import Facts
from runner.data.images.augment import ImageAugment
from runner.data.images.brightness import look_at_brightness
from runner.data.images.decode import turned_note
from runner.data.labels import case_notices
from runner.data.split import Split
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
    """Image files with annotations in one of the usual formats; a subclass reads the format.

    Only the annotations are kept in memory; an image is read when it is its turn. Images without boxes are
    kept: they show what there is not.

    Args:
        root: the folder.
        bad_boxes: what is done about annotations that cannot be right (boxes without size or outside of their
            image, numbers that are none, classes without a name, images that are not there): ``refuse`` to
            train, ``drop`` what is bad, or ``clip``, which drops too, but cuts boxes at the image's edge.
        num_images: use only this number of images of each split, for quick experiments.
        val_fraction: fraction of the training images used for validation if there is no val split.
        split_seed: seed of the random split.
        max_value: the brightest value of images with 16 or 32 bits or of floating-point numbers, which
            becomes white: 4095 for 12 bits. 65535 for 16 bits when None.
    """

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
        return Path(self.root).expanduser()

    def layout_problems(self) -> list[str]:
        """Returns problems found in the listing of the folder."""
        return []

    def read(self) -> tuple[dict[str, Reading], list[str]]:
        """Returns the annotations of each split and the class names in the order of their labels. Fills
        ``notices``.

        Raises:
            DataError: the annotations cannot be read.
        """
        raise TypeError(f"{type(self).__name__} does not say how it is read")

    def unused_files(self, readings: dict[str, Reading]) -> None:
        """Adds image files that no annotation refers to, and annotation files without an image, to
        ``dropped``.
        """

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
        return [refusal(found, split) for split, found in faults.items() if found]

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
        for note in [
            *self.notices,
            *case_notices(class_names),
            *(note for note in notes if note.endswith("edge).")),
        ]:
            logger.warning(note)
        sources = {
            split: BoxFileSource(Path(readings[split].root), table, self.max_value)
            for split, table in tables.items()
        }
        for source in sources.values():
            paths = source.table.paths
            for note in (
                look_at_brightness(source.root, paths, self.max_value),
                turned_note(source.root, paths),
            ):
                if note:
                    logger.warning(note)
        self.splits = {split: self.make_split(split, *part) for split, part in self._parts(sources).items()}
        self.facts = self._facts(tables, class_names, notes)
        self._refuse_emptiness()
        self._count_crowds()

    def annotated(self, readings: dict[str, Reading]) -> dict[str, Reading]:
        """Removes a test split without any boxes, since it cannot be evaluated."""
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
        """Returns whether the test split can be evaluated; otherwise it is reported as left out."""
        if not test.crowd.all():
            return True
        reason = "the test split has no boxes, so it cannot be evaluated"
        self.dropped.add("images", len(test), reason, len(test), "test", test.paths)
        return False

    def _mended(self, readings: dict[str, Reading]) -> tuple[dict[str, BoxTable], list[str]]:
        tables, notes, problems = {}, [], []
        for split, reading in readings.items():
            try:
                tables[split], found = mend(reading, self.bad_boxes, split, self.dropped)
                notes += found
            except DataError as error:
                problems.append(str(error))
        if problems:
            raise DataError("\n".join(problems))
        return tables, notes

    def _parts(self, sources: dict[str, BoxFileSource]) -> dict[str, tuple[BoxFileSource, Tensor]]:
        """Returns source and indices of each split; a missing val split is split off from train."""
        parts = {split: (source, torch.arange(len(source))) for split, source in sources.items()}
        if "val" not in parts:
            train, val, _ = split_indices(len(sources["train"]), self.val_fraction, seed=self.split_seed)
            train, val = self.fold(train, val, name=sources["train"].name)
            parts |= {"train": (sources["train"], train), "val": (sources["train"], val)}
        ordered = {split: parts[split] for split in ("train", "val", "test") if split in parts}
        for split, (_, indices) in ordered.items() if self.num_images else ():
            surplus = len(indices) - len(indices[: self.num_images])
            self.dropped.add("images", surplus, f"data.num_images={self.num_images}", len(indices), split)
        return {split: (source, indices[: self.num_images]) for split, (source, indices) in ordered.items()}

    def _refuse_emptiness(self) -> None:
        for split, part in self.splits.items():
            if not (boxes_in(part) & ~part.source.table.crowd).any():
                raise DataError(
                    f"The {len(part)} images of {split} have no boxes at all. {self.folder} cannot be used "
                    "this way."
                )

    def _count_crowds(self) -> None:
        train = self.splits["train"]
        inside, crowd = boxes_in(train), train.source.table.crowd
        reason = "they are marked as crowds or as difficult, and detectors do not train on them"
        self.dropped.add("boxes", int((inside & crowd).sum()), reason, int(inside.sum()), "train")

    def _facts(self, tables: dict[str, BoxTable], class_names: list[str], notes: list[str]) -> Facts:
        train = self.splits["train"]
        table = train.source.table
        inside = boxes_in(train) & ~table.crowd
        shorter, longer = usual_sides(Path(train.source.root), table, train.indices.tolist())
        digest = hashlib.blake2b(b"".join(table.digest() for table in tables.values()), digest_size=16)
        per_image = {
            split: np.diff(part.source.table.first)[part.indices.numpy()]
            for split, part in self.splits.items()
        }
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
                "num_boxes": {split: int(counts.sum()) for split, counts in per_image.items()},
                "images_without_boxes": {
                    split: int((counts == 0).sum()) for split, counts in per_image.items()
                },
                "mended": notes,
            },
        )


def boxes_in(part: Split) -> np.ndarray:
    """Bool ``(M,)``: the boxes of a split, of all those in its table."""
    kept = np.zeros(len(part.source), dtype=bool)
    kept[part.indices.numpy()] = True
    return kept[part.source.table.image]
