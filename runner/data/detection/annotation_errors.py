"""Annotation errors: counted, named, and rejected or corrected, depending on the configuration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from runner.data.detection.layout import wrong_sizes
from runner.data.detection.source import BoxTable, Reading
from runner.data.dropped import DroppedSamples
from runner.errors import DataError

__all__ = ["BadBoxes", "Fault", "find_faults", "mend"]

BadBoxes = Literal["refuse", "drop", "clip"]

TOLERANCE_PX = 1.0
"""Maximum excess of a box over its image that is clipped silently: annotation tools round coordinates."""
RELATIVE_TOLERANCE = 0.002
NUM_NAMED = 5


@dataclass
class Fault:
    """All cases of one kind of annotation error in a split.

    Attributes:
        what: plural noun for the faulty items: ``boxes``.
        reason: what is wrong with them: ``without width or height``.
        names: names of all cases.
        boxes: bool ``(M,)``, the affected boxes; None if no boxes are affected.
        mendable: whether clipping a box to its image corrects the error.
        images: positions of the affected images; None if no images are affected.
    """

    what: str
    reason: str
    names: list[str]
    boxes: np.ndarray | None = None
    mendable: bool = False
    images: list[int] | None = None

    def sentence(self) -> str:
        """Return a sentence with the number of cases and some of their names."""
        named = "; ".join(self.names[:NUM_NAMED])
        more = f"; and {len(self.names) - NUM_NAMED} more" if len(self.names) > NUM_NAMED else ""
        return f"{len(self.names)} {self.what} {self.reason}: {named}{more}."


def find_faults(reading: Reading, open_images: bool = True) -> list[Fault]:
    """Return the annotation errors of one split.

    Args:
        reading: the annotations of the split.
        open_images: compare the sizes of the images with their annotations. This reads the header of every
            image whose annotation states a size; without it only the image folders are listed.
    """
    faults = [Fault("annotations", "that cannot be read", reading.corrupt)] if reading.corrupt else []
    return faults + image_faults(reading, open_images) + box_faults(reading)


def image_faults(reading: Reading, open_images: bool) -> list[Fault]:
    table, root = reading.table, Path(reading.root)
    missing = missing_images(root, table.paths)
    faults = []
    if missing:
        names = [table.paths[position] for position in missing]
        faults.append(Fault("images", f"that are not in {root}", names, images=missing))
    wrong = wrong_sizes(root, table, set(missing)) if open_images else {}
    if wrong:
        names = [f"{table.paths[position]} ({words})" for position, words in wrong.items()]
        faults.append(
            Fault("images", "that have another size than their annotation states", names, images=[*wrong])
        )
    return faults


def box_faults(reading: Reading) -> list[Fault]:
    table = reading.table
    numbers = np.isfinite(table.boxes).all(1)
    width_height = table.boxes[:, 2:] - table.boxes[:, :2]
    with np.errstate(invalid="ignore"):
        empty = numbers & (width_height <= 0).any(1)
        outside = numbers & ~empty & sticks_out(table)
    classes = ", ".join(dict.fromkeys(reading.unknown))
    kinds = (
        ("whose coordinates are not numbers", ~numbers, False),
        ("without width or height", empty, False),
        ("that stick out of their image", outside, True),
        (f"of classes that the data set does not name ({classes})", table.labels < 0, False),
    )
    return [
        Fault("boxes", reason, box_names(table, boxes), boxes, mendable)
        for reason, boxes, mendable in kinds
        if boxes.any()
    ]


def sticks_out(table: BoxTable) -> np.ndarray:
    """Return the boxes that exceed their image by more than rounding errors, bool ``(M,)``.

    Boxes of images of unknown size are not included.
    """
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


def missing_images(root: Path, paths: Sequence[str]) -> list[int]:
    """Return the positions of paths without a file; each folder is listed once, which is faster than stat."""
    listings: dict[str, set[str]] = {}
    missing = []
    for position, path in enumerate(paths):
        folder, name = os.path.split(path)
        if folder not in listings:
            parent = root / folder
            listings[folder] = {entry.name for entry in os.scandir(parent)} if parent.is_dir() else set()
        if name not in listings[folder]:
            missing.append(position)
    return missing


def mend(
    reading: Reading, bad_boxes: BadBoxes, split: str, dropped: DroppedSamples | None = None
) -> tuple[BoxTable, list[str]]:
    """Return the table without faulty entries, and a message for each kind of correction.

    Args:
        reading: the annotations of the split.
        bad_boxes: ``drop`` leaves out faulty boxes and images; ``clip`` also clips boxes that exceed their
            image.
        split: name of the split, for messages.
        dropped: receives the samples that are left out.

    Raises:
        DataError: there are faults, and ``bad_boxes`` is ``refuse``.
    """
    faults = find_faults(reading)
    if faults and bad_boxes == "refuse":
        raise DataError(refusal(faults, split))
    dropped = DroppedSamples() if dropped is None else dropped
    table = clipped(reading.table)
    left_out = np.zeros(len(table.boxes), dtype=bool)
    notes = []
    for fault in faults:
        is_cut = fault.mendable and bad_boxes == "clip"
        notes.append(f"{split}: {fault.sentence()[:-1]} ({'cut at the edge' if is_cut else 'left out'}).")
        if not is_cut:
            add_fault(dropped, fault, split, reading.table, left_out)
    with np.errstate(invalid="ignore"):
        outside = ~left_out & ~(table.boxes[:, 2:] > table.boxes[:, :2]).all(1)
    reason = "without width or height after they are cut at the edge of their image"
    add_boxes(dropped, outside, reason, split, reading.table)
    kept = np.ones(len(table), dtype=bool)
    kept[[position for fault in faults for position in fault.images or ()]] = False
    orphaned = ~left_out & ~outside & ~kept[table.image]
    add_boxes(dropped, orphaned, "their images are left out", split, reading.table)
    table = table.keep_boxes(~left_out & ~outside)
    return table if kept.all() else table.keep_images(kept), notes


def refusal(faults: Sequence[Fault], split: str) -> str:
    return (
        "\n".join(f"{split}: {fault.sentence()}" for fault in faults)
        + "\nCorrect them; or data.bad_boxes=drop leaves them out, data.bad_boxes=clip also cuts boxes at the"
        " edge of their image instead of leaving them out."
    )


def add_fault(
    dropped: DroppedSamples, fault: Fault, split: str, table: BoxTable, left_out: np.ndarray
) -> None:
    """Add the cases of a fault to ``dropped``.

    A box with several faults counts once; ``left_out``, bool ``(M,)``, is updated.
    """
    reason = fault.reason.removeprefix("that ")
    if fault.boxes is not None:
        add_boxes(dropped, fault.boxes & ~left_out, reason, split, table)
        left_out |= fault.boxes
    else:
        total = len(table) if fault.images is not None else 0
        dropped.add(fault.what, len(fault.names), reason, total, split, fault.names)


def add_boxes(dropped: DroppedSamples, boxes: np.ndarray, reason: str, split: str, table: BoxTable) -> None:
    if boxes.any():
        dropped.add("boxes", int(boxes.sum()), reason, len(boxes), split, box_names(table, boxes))


def clipped(table: BoxTable) -> BoxTable:
    """Return the table with every box clipped to its image."""
    boxes = table.boxes.copy()
    limits = np.ones((len(boxes), 2)) if table.relative else table.sizes[table.image].astype(np.float64)
    limits = np.where(limits > 0, limits, np.inf)
    boxes[:, 0::2] = np.clip(boxes[:, 0::2], 0, limits[:, :1])
    boxes[:, 1::2] = np.clip(boxes[:, 1::2], 0, limits[:, 1:])
    return BoxTable(
        table.paths, table.sizes, table.first, boxes, table.labels, table.areas, table.crowd, table.relative
    )
