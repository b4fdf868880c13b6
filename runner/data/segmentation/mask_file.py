"""Conversion of mask files (grey values, palette indices or colours) to class ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from runner.data.segmentation.batch import IGNORE
from runner.data.segmentation.raw_mask import RawMask, packed, raw_mask
from runner.errors import BrokenSampleError

__all__ = ["MASK_EXTENSIONS", "MaskEncoding", "MaskReader", "Reading"]

MASK_EXTENSIONS = frozenset({".png", ".bmp", ".tif", ".tiff", ".gif"})
UNKNOWN = -1
MAX_NAMED = 8

MaskEncoding = Literal["auto", "index", "color"]
Reading = Literal["index", "color"]


class MaskReader:
    """Reads masks as uint8 ``(H, W)``: class ids from 0, and ``IGNORE`` for ignored pixels.

    A mask has up to two readings: by ``index`` (grey values or palette indices) and by ``color`` (its palette
    applied). With ``encoding="auto"``

    - a palette image or a colour image is read by colour if all colours that it uses belong to classes;
    - a palette image none of whose used colours belongs to a class is read by index, and so is a grey image;
    - if both readings are possible and differ, the reading that fits the other masks of the data set is used
      (see ``settle``); the mask is rejected if both fit.

    Args:
        num_classes: number of classes.
        values: grey value or palette index of each class in the files; 0, 1, 2 … when None.
        colors: red, green and blue of each class, for masks in colour.
        ignored: values of ignored pixels.
        unknown: treatment of other values and colours: ``refuse`` the mask, or ``ignore`` those pixels.
        encoding: ``index`` or ``color`` to allow only that reading.
        names: class names for messages; the ids when None.
    """

    def __init__(
        self,
        num_classes: int,
        values: Sequence[int] | None = None,
        colors: Sequence[Sequence[int]] | None = None,
        ignored: Sequence[int] = (IGNORE,),
        unknown: Literal["refuse", "ignore"] = "refuse",
        encoding: MaskEncoding = "auto",
        names: Sequence[str] | None = None,
    ) -> None:
        self.unknown = unknown
        self.encoding = encoding
        self.preferred: Reading | None = None
        self.counts_from_zero = values is None
        self.names = list(names or map(str, range(num_classes)))
        values = list(range(num_classes)) if values is None else list(values)
        self.known = f"classes {', '.join(map(str, values[:20]))}{' …' if num_classes > 20 else ''}"
        if ignored:
            self.known += f", and {', '.join(map(str, ignored))} for ignored pixels"
        self.ids = np.full(256, UNKNOWN, dtype=np.int16)
        self.ids[list(ignored)] = IGNORE
        self.ids[values] = np.arange(num_classes)
        self.codes: np.ndarray | None = None
        self.order = np.zeros(0, dtype=np.intp)
        if colors is not None:
            codes = packed(np.asarray(colors, dtype=np.uint8))
            self.order = np.argsort(codes)
            self.codes = codes[self.order]

    def read(self, path: Path) -> Tensor:
        """Read one mask.

        Raises:
            BrokenSampleError: the mask cannot be read, has values of no class, or is ambiguous; the message
                names it.
        """
        mask = self.load(path)
        try:
            reading = self.reading_of(mask)
            ids = self.class_ids(mask, reading)
        except ValueError as error:
            raise BrokenSampleError(f"The mask {path} {error}.") from error
        return torch.from_numpy(mask.spread(np.where(ids == UNKNOWN, IGNORE, ids)))

    def load(self, path: Path) -> RawMask:
        """Load the stored mask without converting it to class ids.

        Raises:
            BrokenSampleError: the mask cannot be read; the message names it.
        """
        try:
            return raw_mask(path.read_bytes())
        except OSError as error:
            raise BrokenSampleError(f"The mask {path} cannot be read: {error.strerror or error}.") from error
        except ValueError as error:
            raise BrokenSampleError(f"The mask {path} {error}.") from error

    def settle(self, masks: Iterable[RawMask]) -> None:
        """Decide the reading of ambiguous masks.

        Args:
            masks: some masks of the data set. If the unambiguous ones agree on a reading, it is used for all.
        """
        votes = {reading for mask in masks for reading in self.only_reading(mask)}
        self.preferred = votes.pop() if len(votes) == 1 else None

    def only_reading(self, mask: RawMask) -> list[Reading]:
        """Return the only reading of a mask; an empty list if it has two or none, or if it is uncertain."""
        matched = self.match(mask.colors)
        hits = matched != UNKNOWN
        if mask.kind == "palette" and hits.all():
            index = self.ids_by(mask, "index")
            return ["color"] if index is None or (index != matched).any() else []
        if mask.kind == "palette" and (hits.any() or darkens(mask)):
            return []
        readings: tuple[Reading, ...] = ("index", "color")
        possible = [reading for reading in readings if is_known(self.ids_by(mask, reading))]
        return possible if len(possible) == 1 else []

    def ids_by(self, mask: RawMask, reading: Reading) -> np.ndarray | None:
        """Return the class ids of the entries of a mask by one reading, ``(n,)``.

        Entries of no class are ``UNKNOWN``. None if the mask cannot be read this way.
        """
        by_value = None if mask.values is None else self.ids[mask.values]
        if reading == "index":
            return by_value
        matched = self.match(mask.colors)
        if (matched != UNKNOWN).any() or mask.kind == "color":
            return None if self.codes is None else matched
        return self.ids[mask.colors[:, 0]] if mask.is_grey else None if self.codes is None else matched

    def match(self, colors: np.ndarray) -> np.ndarray:
        """Return the classes with these colours, ``(n, 3)`` → ``(n,)``; ``UNKNOWN`` for other colours."""
        if self.codes is None:
            return np.full(len(colors), UNKNOWN, dtype=np.int16)
        codes = packed(colors)
        positions = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
        return np.where(self.codes[positions] == codes, self.order[positions], UNKNOWN).astype(np.int16)

    def reading_of(self, mask: RawMask) -> Reading:
        """Return the reading that applies to a mask.

        Raises:
            ValueError: two readings are possible and differ; the message continues a sentence that begins
                with the file's name.
        """
        if self.encoding != "auto":
            return self.encoding
        index, color, matched = (
            self.ids_by(mask, "index"),
            self.ids_by(mask, "color"),
            self.match(mask.colors),
        )
        if index is None or color is None:
            return "color" if index is None else "index"
        if mask.kind == "palette" and (matched != UNKNOWN).all():
            return "color"
        if is_known(index) != is_known(color):
            return self.reading_of_mixed(mask, index, color, matched)
        if not is_known(index):
            some = (matched != UNKNOWN).any() or (mask.kind == "color" and self.unknown == "ignore")
            return "color" if some else "index"
        if (index == color).all():
            return "index"
        return self.preferred or self.default_reading(mask, index, color)

    def reading_of_mixed(
        self, mask: RawMask, index: np.ndarray, color: np.ndarray, matched: np.ndarray
    ) -> Reading:
        """Return the reading of a mask whose entries are all known in only one of the two readings."""
        if is_known(color):
            return "color"
        if mask.kind == "grey":
            return "index"
        if mask.kind == "color" and self.unknown == "ignore":
            return "color"
        hits = matched != UNKNOWN
        contradicts = hits.any() and (index[hits] != matched[hits]).any()
        if contradicts or (mask.kind == "palette" and not hits.any() and darkens(mask)):
            return self.preferred or self.reject(mask, index, color)
        # Only some colours belong to classes: the other entries may be classes by index only if the reading
        # by colour is not preferred.
        is_partial = mask.kind == "palette" and hits.any() and (index[~hits] != IGNORE).any()
        if is_partial and (self.preferred == "color" or self.unknown == "ignore"):
            return self.preferred or self.reject(mask, index, color)
        return "index"

    def default_reading(self, mask: RawMask, index: np.ndarray, color: np.ndarray) -> Reading:
        """Return the reading of a mask with two different valid readings.

        This is the natural one of its kind if the other yields fewer than two classes.
        """
        if mask.kind == "color" and num_classes_in(index) < 2:
            return "color"
        if mask.kind != "color" and num_classes_in(color) < 2 and not darkens(mask):
            return "index"
        return self.reject(mask, index, color)

    def reject(self, mask: RawMask, index: np.ndarray, color: np.ndarray) -> Reading:
        """Raise the error for an ambiguous mask.

        Raises:
            ValueError: always.
        """
        differing = np.flatnonzero(index != color)
        entry = int(differing[0]) if len(differing) else 0
        stored = "palette index" if mask.kind == "palette" else "grey value"
        raise ValueError(
            f"can be read in two ways. The {stored} {mask.numbers[entry]} has the colour "
            f"{mask.colors[entry].tolist()}: by index it is {self.meaning(index[entry])}, by colour "
            f"{self.meaning(color[entry])}. Give data.mask_encoding=index or data.mask_encoding=color"
        )

    def meaning(self, class_id: int) -> str:
        """Return the meaning of a class id, for messages."""
        if class_id == IGNORE:
            return "an ignored pixel"
        return "no class" if class_id == UNKNOWN else f"the class {self.names[class_id]!r}"

    def class_ids(self, mask: RawMask, reading: Reading) -> np.ndarray:
        """Return the class ids of the entries of a mask by one reading, ``(n,)``.

        Raises:
            ValueError: the mask cannot be read this way, or has values or colours of no class; the message
                continues a sentence that begins with the file's name.
        """
        ids = self.ids_by(mask, reading)
        if ids is None and reading == "color" and self.codes is None:
            raise ValueError(
                "is in colour. Give each class its red, green and blue with data.colors=[[0,0,0],…]"
            )
        if ids is None:
            raise ValueError("is in colour, which has no index. Remove data.mask_encoding=index")
        bad = ids == UNKNOWN
        if not bad.any() or self.unknown == "ignore":
            return ids
        if reading == "index" or self.codes is None:
            values = mask.numbers if reading == "index" else mask.colors[:, 0]
            raise ValueError(self.unknown_values(values[bad].tolist()))
        raise ValueError(
            f"has colours of no class: {listed(mask.colors[bad].tolist())}. Add them to data.colors, or "
            "ignore such pixels with data.unknown=ignore"
        )

    def unknown_values(self, values: list[int]) -> str:
        """Return the message for values of no class."""
        text = f"has the value{'s' * (len(values) > 1)} {listed(values)}; expected {self.known}"
        hints = []
        if len(values) == 1:
            hints.append(f"If {values[0]} is for ignored pixels, give data.ignore_index={values[0]}")
        count = len(self.names)
        if self.counts_from_zero and values[0] == count:
            hints.append(
                f"If the ids count from 1, give data.class_values={ids_from_one(count)}, and "
                "data.ignore_index=0 if 0 is for ignored pixels"
            )
        return ". ".join([text, *hints])


def ids_from_one(count: int) -> str:
    return f"[{','.join(map(str, range(1, count + 1)))}]" if count <= 12 else f"[1,2,…,{count}]"


def is_known(ids: np.ndarray | None) -> bool:
    return ids is not None and not (ids == UNKNOWN).any()


def num_classes_in(ids: np.ndarray) -> int:
    return len(np.unique(ids[(ids != IGNORE) & (ids != UNKNOWN)]))


def darkens(mask: RawMask) -> bool:
    """Return whether a grey palette is not ordered from dark to bright, as in files sorted by frequency."""
    return mask.is_grey and bool((np.diff(mask.colors[:, 0].astype(int)) < 0).any())


def listed(values: list) -> str:
    more = f" and {len(values) - MAX_NAMED} more" if len(values) > MAX_NAMED else ""
    return ", ".join(map(str, values[:MAX_NAMED])) + more
