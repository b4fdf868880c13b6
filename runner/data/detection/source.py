"""Annotated images as the source of splits, with all boxes in a few arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runner.data.images.decode import read_image
from runner.errors import BrokenSampleError

__all__ = ["BoxFileSource", "BoxTable", "Reading", "ToUnit", "collate_boxes", "make_target"]


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
        """Build a table from boxes in any order.

        Args:
            paths: paths of the images.
            image: position of each box's image in ``paths``, ``(M,)``.
            boxes: xyxy coordinates, ``(M, 4)``.
            labels: class ids, ``(M,)``; -1 for unknown classes.
            sizes: width and height of each image, ``(N, 2)``; unknown when None.
            areas: areas of the objects, ``(M,)``; unknown when None.
            crowd: whether each box is a crowd or difficult, ``(M,)``.
            relative: whether boxes are given as parts of width and height.
        """
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
        """The position of each box's image, ``(M,)``."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def boxes_of(self, position: int) -> slice:
        """Return the slice of an image's boxes."""
        return slice(int(self.first[position]), int(self.first[position + 1]))

    def keep_boxes(self, kept: np.ndarray) -> BoxTable:
        """Return the same images with a subset of the boxes, bool ``(M,)``."""
        return BoxTable.build(
            self.paths, self.image[kept], self.boxes[kept], self.labels[kept], self.sizes,
            self.areas[kept], self.crowd[kept], self.relative,
        )  # fmt: skip

    def keep_images(self, kept: np.ndarray) -> BoxTable:
        """Return a subset of the images, bool ``(N,)``, with their boxes."""
        inside = kept[self.image]
        position = np.cumsum(kept) - 1
        paths = [path for path, stays in zip(self.paths, kept, strict=True) if stays]
        return BoxTable.build(
            paths, position[self.image[inside]], self.boxes[inside], self.labels[inside], self.sizes[kept],
            self.areas[inside], self.crowd[inside], self.relative,
        )  # fmt: skip

    def digest(self) -> bytes:
        """Return a digest of paths and boxes."""
        digest = hashlib.blake2b("\0".join(self.paths).encode(), digest_size=16)
        boxes = self.boxes.astype(np.float32)  # earlier runs computed their digests in single precision
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
        unannotated: images without any annotation file, which are reported as left out.
    """

    table: BoxTable
    root: str
    corrupt: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unannotated: list[str] = field(default_factory=list)


def make_target(boxes: Any, labels: Any, areas: Any = None, crowd: Any = None) -> dict[str, Tensor]:
    """Build the target of one image.

    Args:
        boxes: xyxy coordinates in pixels, ``(n, 4)``.
        labels: class ids, ``(n,)``.
        areas: areas of the objects, ``(n,)``; those of the boxes when None or NaN.
        crowd: whether each box is a crowd or difficult, ``(n,)``.

    Returns:
        ``boxes`` float64 ``(n, 4)``, ``labels`` int64 ``(n,)``, ``area`` float32 ``(n,)`` and ``iscrowd``
        bool ``(n,)``.
    """
    boxes = torch.as_tensor(boxes, dtype=torch.float64).reshape(-1, 4)
    of_boxes = (boxes[:, 2:] - boxes[:, :2]).prod(1).float()
    if areas is None:
        areas = of_boxes
    else:
        areas = torch.as_tensor(areas, dtype=torch.float32)
        areas = torch.where(areas.isnan(), of_boxes, areas)
    crowd = (
        torch.zeros(len(boxes), dtype=torch.bool)
        if crowd is None
        else torch.as_tensor(crowd, dtype=torch.bool)
    )
    return {
        "boxes": boxes,
        "labels": torch.as_tensor(labels, dtype=torch.int64),
        "area": areas,
        "iscrowd": crowd,
    }


class BoxFileSource:
    """Image files of any size with their boxes, decoded lazily.

    Args:
        root: the folder that the table's paths are relative to.
        table: images and boxes.
        max_value: white in images with more than eight bits; see ``runner.data.images.decode``.
    """

    def __init__(self, root: Path, table: BoxTable, max_value: float | None = None) -> None:
        self.root = root
        self.table = table
        self.max_value = max_value

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the image, uint8 ``(3, H, W)``, and its target; see ``make_target``.

        Raises:
            BrokenSampleError: the file cannot be read, or its size differs from its annotation.
        """
        table = self.table
        image = read_image(self.root / table.paths[index], self.max_value)
        height, width = image.shape[-2:]
        annotated = tuple(table.sizes[index].tolist())
        if all(annotated) and annotated != (width, height):
            raise BrokenSampleError(
                f"{self.root / table.paths[index]} has {width} × {height} pixels, but its annotation was "
                f"made for {annotated[0]} × {annotated[1]}: its boxes would be misplaced. Was it resized, or "
                "rotated (EXIF)?"
            )
        rows = table.boxes_of(index)
        boxes = table.boxes[rows].copy()
        if table.relative:
            boxes *= np.array([width, height, width, height])
        areas, crowd = table.areas[rows].copy(), table.crowd[rows].copy()
        return image, make_target(boxes, table.labels[rows], areas, crowd)

    def name(self, index: int) -> str:
        return self.table.paths[index]


def collate_boxes(samples: Sequence[tuple[Tensor, dict[str, Tensor]]]) -> dict[str, Any]:
    """Collate images of any size to lists: ``{"inputs": [(3, H, W), …], "targets": [{…}, …]}``."""
    inputs, targets = zip(*samples, strict=True)
    return {"inputs": list(inputs), "targets": list(targets)}


class ToUnit(nn.Module):
    """Converts uint8 images, single, batched or in lists, to float32 from 0 to 1.

    torchvision's detectors include the standardization.
    """

    def forward(self, inputs: Any) -> Any:
        if isinstance(inputs, Tensor):
            return inputs.float() / 255
        return [image.float() / 255 for image in inputs]
