"""Annotated images as the source of splits, with their boxes in a few arrays."""

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
        """Builds a table from boxes in any order; ``image`` is the position of each box's image in
        ``paths``.
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


def make_target(boxes: Any, labels: Any, areas: Any = None, crowd: Any = None) -> dict[str, Tensor]:
    """Builds the target of one image: ``boxes`` float64 ``(n, 4)`` xyxy in pixels, ``labels`` int64 ``(n,)``
    from 0, ``area`` float32 ``(n,)`` (of the boxes, where none or NaN is given) and ``iscrowd`` bool
    ``(n,)``.
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
        root: the folder the table's paths are relative to.
        max_value: of images with more than eight bits; see ``runner.data.images.decode``.
    """

    def __init__(self, root: Path, table: BoxTable, max_value: float | None = None) -> None:
        self.root = root
        self.table = table
        self.max_value = max_value

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the image, uint8 ``(3, H, W)``, and its target; see ``make_target``.

        Raises:
            BrokenSampleError: the file cannot be read, or has another size than its annotation says.
        """
        table = self.table
        image = read_image(self.root / table.paths[index], self.max_value)
        height, width = image.shape[-2:]
        annotated = tuple(table.sizes[index].tolist())
        if all(annotated) and annotated != (width, height):
            raise BrokenSampleError(
                f"{self.root / table.paths[index]} has {width} × {height} pixels, but its annotation was "
                "made for "
                f"{annotated[0]} × {annotated[1]}: its boxes would lie elsewhere. Was it resized, or turned "
                "(EXIF)?"
            )
        own = table.boxes_of(index)
        boxes = table.boxes[own].copy()
        if table.relative:
            boxes *= np.array([width, height, width, height])
        return image, make_target(boxes, table.labels[own], table.areas[own].copy(), table.crowd[own].copy())

    def name(self, index: int) -> str:
        return self.table.paths[index]


def collate_boxes(samples: Sequence[tuple[Tensor, dict[str, Tensor]]]) -> dict[str, Any]:
    """Collates images of any size to lists: ``{"inputs": [(3, H, W), …], "targets": [{…}, …]}``."""
    inputs, targets = zip(*samples, strict=True)
    return {"inputs": list(inputs), "targets": list(targets)}


class ToUnit(nn.Module):
    """Converts uint8 images, single, batched or in lists, to float32 from 0 to 1.

    Detectors standardize them themselves.
    """

    def forward(self, inputs: Any) -> Any:
        if isinstance(inputs, Tensor):
            return inputs.float() / 255
        return [image.float() / 255 for image in inputs]
