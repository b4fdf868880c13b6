"""The boxes of many images in a few arrays, which are kept in memory; the images are not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["BoxTable", "Reading"]


@dataclass
class BoxTable:
    """N images with M boxes, grouped by image.

    Attributes:
        paths: paths of the images, relative to one folder.
        sizes: int32 ``(N, 2)``, width and height in pixels; 0 where no annotation states them.
        first: int64 ``(N + 1,)``: image i has the boxes ``first[i]`` to ``first[i + 1]``.
        boxes: float64 ``(M, 4)``, xyxy in pixels, or as parts of width and height if ``relative``.
        labels: int32 ``(M,)``; -1 for unknown classes.
        areas: float32 ``(M,)``, areas of the objects in square pixels; NaN if only the box is known.
        crowd: bool ``(M,)``: crowds and difficult objects; excluded from training and ignored by the metrics.
    """

    paths: list[str]
    sizes: np.ndarray
    first: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    relative: bool = False

    @classmethod
    def build(
        cls,
        paths: Sequence[str],
        image: Sequence[int] | np.ndarray,
        boxes: Sequence[Sequence[float]] | np.ndarray,
        labels: Sequence[int] | np.ndarray,
        sizes: Sequence[tuple[int, int]] | np.ndarray | None = None,
        areas: Sequence[float] | np.ndarray | None = None,
        crowd: Sequence[bool] | np.ndarray | None = None,
        relative: bool = False,
    ) -> BoxTable:
        """Builds a table from boxes in any order; ``image`` is the position of each box's image in ``paths``."""
        image = np.asarray(image, dtype=np.int64)
        order = np.argsort(image, kind="stable")
        count = len(image)
        areas = np.full(count, np.nan) if areas is None else np.asarray(areas, dtype=np.float64)
        crowd = np.zeros(count, dtype=bool) if crowd is None else np.asarray(crowd, dtype=bool)
        if sizes is None:
            sizes = np.zeros((len(paths), 2))
        counts = np.bincount(image, minlength=len(paths)) if len(paths) else np.zeros(0)
        return cls(
            list(paths),
            np.asarray(sizes, dtype=np.int32).reshape(-1, 2),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.asarray(boxes, dtype=np.float64).reshape(-1, 4)[order],
            np.asarray(labels, dtype=np.int32)[order],
            areas.astype(np.float32)[order],
            crowd[order],
            relative,
        )

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def image(self) -> np.ndarray:
        """``(M,)``: position of each box's image."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def boxes_of(self, position: int) -> slice:
        return slice(int(self.first[position]), int(self.first[position + 1]))

    def keep_boxes(self, kept: np.ndarray) -> BoxTable:
        """Returns the same images with a subset of the boxes, bool ``(M,)``."""
        return BoxTable.build(
            self.paths, self.image[kept], self.boxes[kept], self.labels[kept], self.sizes,
            self.areas[kept], self.crowd[kept], self.relative,
        )  # fmt: skip

    def keep_images(self, kept: np.ndarray) -> BoxTable:
        """Returns a subset of the images, bool ``(N,)``, with their boxes."""
        inside = kept[self.image]
        position = np.cumsum(kept) - 1
        paths = [path for path, stays in zip(self.paths, kept, strict=True) if stays]
        return BoxTable.build(
            paths, position[self.image[inside]], self.boxes[inside], self.labels[inside], self.sizes[kept],
            self.areas[inside], self.crowd[inside], self.relative,
        )  # fmt: skip

    def digest(self) -> bytes:
        """Returns a digest of paths and boxes."""
        digest = hashlib.blake2b("\0".join(self.paths).encode(), digest_size=16)
        boxes = self.boxes.astype(
            np.float32
        )  # the fingerprints of earlier runs were made of single precision
        for array in (self.sizes, self.first, boxes, self.labels, self.areas, self.crowd):
            digest.update(np.ascontiguousarray(array).data)
        return digest.digest()


@dataclass
class Reading:
    """The annotations of one split, as read from files.

    Attributes:
        table: all boxes as stored in the files, including faulty ones.
        root: the folder that the table's paths are relative to.
        corrupt: files, or lines of them, that cannot be read, with the reason.
        unknown: names or ids of unknown classes, as stored in the files.
        unannotated: images without any annotation file. Reported as left out.
    """

    table: BoxTable
    root: str
    corrupt: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unannotated: list[str] = field(default_factory=list)
