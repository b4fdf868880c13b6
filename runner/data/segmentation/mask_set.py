"""Checks and statistics across the masks of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from runner.data.images.decode import ImageHeader, read_header
from runner.data.segmentation.batch import IGNORE
from runner.data.segmentation.layout import Pair
from runner.data.segmentation.mask_file import MaskReader, ids_from_one
from runner.data.segmentation.raw_mask import RawMask
from runner.data.split import Source
from runner.errors import BrokenSampleError

__all__ = [
    "MaskOrientation",
    "PairHeaders",
    "Survey",
    "compare_headers",
    "evenly_spread",
    "load_entries",
    "mask_set_problems",
    "survey",
    "turned_upright",
]

NamedMask = tuple[Path, RawMask]


def load_entries(reader: MaskReader, paths: Iterable[Path]) -> list[NamedMask]:
    """Load the entries of some masks, without their pixels.

    Unreadable masks are skipped; they are reported when they are read.
    """
    loaded = []
    for path in paths:
        try:
            loaded.append((path, replace(reader.load(path), places=np.empty((0, 0), dtype=np.uint8))))
        except BrokenSampleError:
            continue
    return loaded


def mask_set_problems(reader: MaskReader, masks: Sequence[NamedMask]) -> list[str]:
    """Return problems with masks that are unambiguous individually but not together.

    Args:
        reader: reader of the masks, after ``settle``.
        masks: some masks of the data set.
    """
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
    """Return a problem if an index has different colours in different files."""
    first: dict[int, tuple[Path, list[int]]] = {}
    for path, mask in masks:
        if not mask.has_palette:
            continue
        for value, color in zip(mask.numbers.tolist(), mask.colors.tolist(), strict=True):
            other_path, other = first.setdefault(value, (path, color))
            if other != color and reader.ids[value] != IGNORE:
                return (
                    f"The palettes of the masks differ: the index {value} has the colour {other} in "
                    f"{other_path} and {color} in {path}. By index both are "
                    f"{reader.meaning(reader.ids[value])}, by colour they are two classes. Give each class "
                    "its colour with data.colors=[[0,0,0],…], or data.mask_encoding=index."
                )
    return None


def counted_from_one(reader: MaskReader, masks: Sequence[NamedMask]) -> str | None:
    """Return a problem if no mask has the value 0, so that the ids may start at 0 or at 1."""
    values = {value for _, mask in masks for value in mask.numbers.tolist() if reader.ids[value] != IGNORE}
    if not reader.counts_from_zero or not values or 0 in values or max(values) > len(reader.names):
        return None
    count = len(reader.names)
    return (
        f"None of the {len(masks)} masks that were examined has the value 0; they have "
        f"{', '.join(map(str, sorted(values)))}. If the ids count from 0, {min(values)} is "
        f"{reader.meaning(reader.ids[min(values)])}: give data.class_values="
        f"[{','.join(map(str, range(count))) if count <= 12 else f'0,1,…,{count - 1}'}]. If they count from "
        f"1, it is {reader.meaning(min(values) - 1)}: give data.class_values={ids_from_one(count)}."
    )


def two_spellings(reader: MaskReader, masks: Sequence[NamedMask]) -> str | None:
    """Return a problem if some masks have the values 0 and 1, others 0 and 255, and none all three."""
    if len(reader.names) != 2 or not reader.counts_from_zero or reader.ids[IGNORE] != IGNORE:
        return None
    with_one = [path for path, mask in masks if 1 in mask.numbers]
    with_255 = [path for path, mask in masks if IGNORE in mask.numbers]
    if not with_one or not with_255 or set(with_one) & set(with_255):
        return None
    return (
        f"Some masks have the values 0 and 1 ({with_one[0]}), others 0 and {IGNORE} ({with_255[0]}), and "
        f"none has all three. {IGNORE} is read as an ignored pixel, but may also be the class "
        f"{reader.names[1]!r}. In the first case give data.mask_encoding=index, in the second write 1 "
        f"instead of {IGNORE} in these masks."
    )


NUM_THREADS = 8

MaskOrientation = Literal["auto", "upright", "stored"]


@dataclass
class PairHeaders:
    """Results of the header comparison, by the path of the image relative to the root.

    Attributes:
        faults: messages for pairs that cannot be used.
        turns: EXIF orientations that must be applied to masks, too.
        scaled: pairs whose mask is scaled to the size of the image.
    """

    faults: dict[str, str] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)
    scaled: set[str] = field(default_factory=set)


MAX_DISTORTION = 0.02
"""Largest relative difference of the aspect ratios of an image and its mask; one pixel is always allowed."""


def has_same_shape(image: ImageHeader, mask: ImageHeader) -> bool:
    """Return whether a mask differs from its image in scale only."""
    expected = image.width * mask.height / image.height
    return abs(mask.width - expected) <= max(1.0, MAX_DISTORTION * expected)


def compare_headers(
    root: Path, pairs: Sequence[Pair], masks_are: MaskOrientation = "auto", resize_masks: bool = False
) -> PairHeaders:
    """Compare the headers of all pairs without decoding pixels. Unreadable files are skipped.

    Args:
        root: the folder that the paths are relative to.
        pairs: paths of images and masks.
        masks_are: orientation of masks without an EXIF orientation if their image has one: ``upright`` like
            the rotated image, or ``stored`` like the stored pixels, so that the mask is rotated, too.
            ``auto`` decides by the sizes and reports the pairs for which both are possible.
        resize_masks: whether a mask of another size, but the same aspect ratio, may be scaled.
    """
    headers = PairHeaders()

    def both(pair: Pair) -> tuple[ImageHeader | None, ImageHeader | None]:
        return read_header(root / pair[0]), read_header(root / pair[1])

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for pair, (image, mask) in zip(pairs, pool.map(both, pairs), strict=True):
            if image is not None and mask is not None:
                compare(headers, root, pair, image, mask, masks_are, resize_masks)
    return headers


def compare(
    headers: PairHeaders,
    root: Path,
    pair: Pair,
    image: ImageHeader,
    mask: ImageHeader,
    masks_are: MaskOrientation,
    resize_masks: bool,
) -> None:
    image_path, mask_path = root / pair[0], root / pair[1]
    has_choice = image.orientation != 1 and mask.orientation == 1
    fits_upright, fits_stored = mask.size == image.size, has_choice and mask.size == image.stored_size
    if masks_are == "stored" and has_choice:
        fits_upright = False
    elif masks_are == "upright":
        fits_stored = False
    if fits_upright and fits_stored:
        headers.faults[pair[0]] = (
            f"{image_path} is rotated by its EXIF orientation ({image.orientation}), and its mask "
            f"{mask_path.name} has none. If the mask was drawn on the upright image, give "
            "data.mask_orientation=upright; if on the stored pixels, give data.mask_orientation=stored, "
            "which rotates the mask, too."
        )
    elif fits_stored:
        headers.turns[pair[0]] = image.orientation
    elif not fits_upright and resize_masks and has_same_shape(image, mask):
        headers.scaled.add(pair[0])
    elif not fits_upright:
        advice = "Was one of them resized, or rotated (EXIF)?"
        if not resize_masks and has_same_shape(image, mask):
            advice = "data.resize_masks=true scales masks of the same aspect ratio."
        headers.faults[pair[0]] = (
            f"{image_path} has {image.width} × {image.height} pixels, but its mask {mask_path.name} "
            f"{mask.width} × {mask.height}. {advice}"
        )


def turned_upright(mask: Tensor, orientation: int) -> Tensor:
    """Apply an EXIF orientation to a stored mask ``(H, W)``."""
    turns = {
        2: lambda: mask.flip(1),
        3: lambda: mask.flip(0, 1),
        4: lambda: mask.flip(0),
        5: lambda: mask.T,
        6: lambda: mask.rot90(-1),
        7: lambda: mask.T.flip(0, 1),
        8: lambda: mask.rot90(1),
    }
    return turns[orientation]().contiguous() if orientation in turns else mask


NUM_LOOKED_AT = 50


@dataclass
class Survey:
    """Statistics of the inspected samples.

    Attributes:
        counts: pixels of each class, ``(K,)``.
        num_ignored: number of ignored pixels.
        size: height and width of the sample with the median area.
        faults: error messages of unusable samples.
        num_samples: number of inspected samples.
    """

    counts: Tensor
    num_ignored: int = 0
    size: tuple[int, int] = (0, 0)
    faults: list[str] = field(default_factory=list)
    num_samples: int = 0

    def class_weights(self) -> list[float]:
        """Return median-frequency class weights, 1 for absent classes.

        Eigen and Fergus 2014, arXiv:1411.4734.
        """
        shares = self.counts / self.counts.sum().clamp(min=1)
        is_present = shares > 0
        if not is_present.any():
            return [1.0] * len(self.counts)
        weights = torch.where(is_present, shares[is_present].quantile(0.5) / shares.clamp(min=1e-12), 1.0)
        return [round(value, 6) for value in weights.tolist()]


def evenly_spread(indices: Tensor) -> list[int]:
    """Return at most 50 of these indices, evenly spread."""
    return indices[:: max(1, -(-len(indices) // NUM_LOOKED_AT))].tolist()


def survey(source: Source, indices: Tensor, num_classes: int) -> Survey:
    """Return statistics of at most 50 samples, evenly spread."""
    statistics = Survey(torch.zeros(num_classes, dtype=torch.float64))
    sizes = []
    for index in evenly_spread(indices):
        statistics.num_samples += 1
        try:
            _, mask = source[index]
        except BrokenSampleError as error:
            statistics.faults.append(str(error))
            continue
        counts = torch.bincount(mask.flatten(), minlength=IGNORE + 1)
        statistics.counts += counts[:num_classes]
        statistics.num_ignored += int(counts[IGNORE])
        height, width = mask.shape
        sizes.append((height, width))
    if sizes:
        statistics.size = sorted(sizes, key=lambda size: (size[0] * size[1], size))[len(sizes) // 2]
    return statistics
