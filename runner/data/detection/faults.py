"""What can be wrong with annotations: counted, named, and refused or mended as the user wishes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from runner.data.detection.table import BoxTable, Reading
from runner.errors import DataError

__all__ = ["BadBoxes", "Fault", "find_faults", "mend"]

BadBoxes = Literal["refuse", "drop", "clip"]

TOLERANCE_PX = 1.0
"""Annotation tools round; so far outside its image a box is cut without a word."""
RELATIVE_TOLERANCE = 0.002
NUM_NAMED = 5


@dataclass
class Fault:
    """All cases of one kind of fault in a split.

    Attributes:
        what: the kind, behind a count: ``boxes without width or height``.
        names: of every case.
        boxes: bool ``(M,)``, the boxes that have it; None when it is not the boxes that are wrong.
        mendable: whether cutting a box at its image's edge mends it.
        no_images: whether the names are paths of images that are not there.
    """

    what: str
    names: list[str]
    boxes: np.ndarray | None = None
    mendable: bool = False
    no_images: bool = False

    def sentence(self) -> str:
        named = "; ".join(self.names[:NUM_NAMED])
        more = f"; and {len(self.names) - NUM_NAMED} more" if len(self.names) > NUM_NAMED else ""
        return f"{len(self.names)} {self.what}: {named}{more}."


def find_faults(reading: Reading) -> list[Fault]:
    """What is wrong with one split. Only the listing of the image folders is read."""
    table = reading.table
    faults = [Fault("annotations that cannot be read", reading.corrupt)] if reading.corrupt else []
    missing = missing_images(Path(reading.root), table.paths)
    if missing:
        faults.append(Fault(f"images that are not in {reading.root}", missing, no_images=True))
    numbers = np.isfinite(table.boxes).all(1)
    width_height = table.boxes[:, 2:] - table.boxes[:, :2]
    with np.errstate(invalid="ignore"):
        empty = numbers & (width_height <= 0).any(1)
        outside = numbers & ~empty & sticks_out(table)
    unknown = table.labels < 0
    classes = ", ".join(dict.fromkeys(reading.unknown))
    kinds = (
        ("boxes whose coordinates are not numbers", ~numbers, False),
        ("boxes without width or height", empty, False),
        ("boxes that stick out of their image", outside, True),
        (f"boxes of classes that the data set does not name ({classes})", unknown, False),
    )
    for what, boxes, mendable in kinds:
        if boxes.any():
            faults.append(Fault(what, box_names(table, boxes), boxes, mendable))
    return faults


def sticks_out(table: BoxTable) -> np.ndarray:
    """bool ``(M,)``: more than rounding explains. Where the size of an image is not known, none does."""
    low = table.boxes[:, :2].min(1)
    if table.relative:
        return (low < -RELATIVE_TOLERANCE) | (table.boxes[:, 2:].max(1) > 1 + RELATIVE_TOLERANCE)
    sizes = table.sizes[table.image]
    over = (table.boxes[:, 2:] - sizes).max(1)
    return (low < -TOLERANCE_PX) | ((sizes > 0).all(1) & (over > TOLERANCE_PX))


def box_names(table: BoxTable, boxes: np.ndarray) -> list[str]:
    image = table.image
    return [
        f"{table.paths[image[i]]} [{', '.join(f'{value:g}' for value in table.boxes[i])}]"
        for i in np.flatnonzero(boxes)
    ]


def missing_images(root: Path, paths: Sequence[str]) -> list[str]:
    """Paths of which there is no file. Each folder is listed once, instead of asking for every file."""
    there: dict[str, set[str]] = {}
    missing = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in there:
            place = root / folder
            there[folder] = {entry.name for entry in os.scandir(place)} if place.is_dir() else set()
        if name not in there[folder]:
            missing.append(path)
    return missing


def mend(reading: Reading, bad_boxes: BadBoxes, split: str) -> tuple[BoxTable, list[str]]:
    """The table without faults, and a sentence for each kind that was mended.

    Args:
        bad_boxes: ``drop`` leaves out bad boxes and missing images; ``clip`` too, but cuts boxes that stick out.

    Raises:
        DataError: there are faults, and ``bad_boxes`` is ``refuse``.
    """
    faults = find_faults(reading)
    if faults and bad_boxes == "refuse":
        raise DataError(
            "\n".join(f"{split}: {fault.sentence()}" for fault in faults)
            + "\nMend them; or data.bad_boxes=drop leaves them out, data.bad_boxes=clip also cuts boxes at the"
            " edge of their image instead of leaving them out."
        )
    table = reading.table
    dropped = np.zeros(len(table.boxes), dtype=bool)
    for fault in faults:
        if fault.boxes is not None and not (fault.mendable and bad_boxes == "clip"):
            dropped |= fault.boxes
    table = clipped(table)
    with np.errstate(invalid="ignore"):
        left = (table.boxes[:, 2:] > table.boxes[:, :2]).all(1)
    table = table.keep_boxes(left & ~dropped)
    missing = {name for fault in faults if fault.no_images for name in fault.names}
    if missing:
        table = table.keep_images(np.array([path not in missing for path in table.paths], dtype=bool))
    done = "left out" if bad_boxes == "drop" else "cut at the edge, or left out"
    return table, [f"{split}: {fault.sentence()[:-1]} ({done})." for fault in faults]


def clipped(table: BoxTable) -> BoxTable:
    """Every box cut at the edge of its image."""
    boxes = table.boxes.copy()
    limits = np.ones((len(boxes), 2), dtype=np.float32) if table.relative else table.sizes[table.image].astype("f4")
    limits = np.where(limits > 0, limits, np.inf)
    boxes[:, 0::2] = np.clip(boxes[:, 0::2], 0, limits[:, :1])
    boxes[:, 1::2] = np.clip(boxes[:, 1::2], 0, limits[:, 1:])
    return BoxTable(
        table.paths, table.sizes, table.first, boxes, table.labels, table.areas, table.crowd, table.relative
    )
