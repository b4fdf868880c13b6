"""Checks across several masks: differing palettes, ids that start at 1, and two encodings of one class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from runner.data.segmentation.batch import IGNORE
from runner.data.segmentation.mask_file import MaskReader, ids_from_one
from runner.data.segmentation.raw_mask import RawMask
from runner.errors import BrokenSampleError

__all__ = ["load_entries", "mask_set_problems"]

NamedMask = tuple[Path, RawMask]


def load_entries(reader: MaskReader, paths: Iterable[Path]) -> list[NamedMask]:
    """Loads the entries of some masks, without their pixels. Unreadable masks are skipped; reading them reports them."""
    loaded = []
    for path in paths:
        try:
            loaded.append((path, replace(reader.load(path), places=np.empty((0, 0), dtype=np.uint8))))
        except BrokenSampleError:
            continue
    return loaded


def mask_set_problems(reader: MaskReader, masks: Sequence[NamedMask]) -> list[str]:
    """Returns problems with masks that are unambiguous individually but not together. ``reader`` is settled."""
    by_index = []
    for path, mask in masks:
        try:
            if mask.values is not None and reader.reading_of(mask) == "index":
                by_index.append((path, mask))
        except ValueError:
            return []  # each such mask is rejected individually
    if reader.encoding == "index":
        return []
    problems = [palette_conflict(reader, by_index), two_spellings(reader, by_index)]
    if len(by_index) == len(masks):
        problems.append(counted_from_one(reader, by_index))
    return [problem for problem in problems if problem]


def palette_conflict(reader: MaskReader, masks: Sequence[NamedMask]) -> str | None:
    """Returns a problem if an index has different colours in different files."""
    first: dict[int, tuple[Path, list[int]]] = {}
    for path, mask in masks:
        if not mask.has_palette:
            continue
        for value, color in zip(mask.values.tolist(), mask.colors.tolist(), strict=True):
            other_path, other = first.setdefault(value, (path, color))
            if other != color and reader.ids[value] != IGNORE:
                return (
                    f"The palettes of the masks differ: the index {value} has the colour {other} in {other_path} and "
                    f"{color} in {path}. By index both are {reader.meaning(reader.ids[value])}, by colour they are two "
                    "classes. Give each class its colour with data.colors=[[0,0,0],…], or data.mask_encoding=index."
                )
    return None


def counted_from_one(reader: MaskReader, masks: Sequence[NamedMask]) -> str | None:
    """Returns a problem if no mask has the value 0, so that the ids may start at 0 or at 1."""
    values = {value for _, mask in masks for value in mask.values.tolist() if reader.ids[value] != IGNORE}
    if not reader.counts_from_zero or not values or 0 in values or max(values) > len(reader.names):
        return None
    count = len(reader.names)
    return (
        f"None of the {len(masks)} masks that were looked at has the value 0; they have {', '.join(map(str, sorted(values)))}. "
        f"If the ids count from 0, {min(values)} is {reader.meaning(reader.ids[min(values)])}: give data.class_values="
        f"[{','.join(map(str, range(count))) if count <= 12 else f'0,1,…,{count - 1}'}]. If they count from 1, it is "
        f"{reader.meaning(min(values) - 1)}: give data.class_values={ids_from_one(count)}."
    )


def two_spellings(reader: MaskReader, masks: Sequence[NamedMask]) -> str | None:
    """Returns a problem if some masks of two classes have the values 0 and 1, others 0 and 255, and none all three."""
    if len(reader.names) != 2 or not reader.counts_from_zero or reader.ids[IGNORE] != IGNORE:
        return None
    with_one = [path for path, mask in masks if 1 in mask.values]
    with_255 = [path for path, mask in masks if IGNORE in mask.values]
    if not with_one or not with_255 or set(with_one) & set(with_255):
        return None
    return (
        f"Some masks have the values 0 and 1 ({with_one[0]}), others 0 and {IGNORE} ({with_255[0]}), and none has all three. "
        f"As read now, {IGNORE} is a pixel that does not count; it may also be the class {reader.names[1]!r}. In the first "
        f"case give data.mask_encoding=index, in the second write 1 instead of {IGNORE} in these masks."
    )
