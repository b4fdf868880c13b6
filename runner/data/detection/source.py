"""Annotated images as the source of splits, and their collation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runner.data.detection.table import BoxTable
from runner.data.images.decode import read_image
from runner.errors import BrokenSampleError

__all__ = ["BoxFileSource", "ToUnit", "collate_boxes", "make_target"]


def make_target(boxes: Any, labels: Any, areas: Any = None, crowd: Any = None) -> dict[str, Tensor]:
    """Builds the target of one image: ``boxes`` float64 ``(n, 4)`` xyxy in pixels, ``labels`` int64 ``(n,)`` from 0,
    ``area`` float32 ``(n,)`` (of the boxes, where none or NaN is given) and ``iscrowd`` bool ``(n,)``."""
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

    def __init__(self, root: Path, table: BoxTable, max_value: float | None = None):
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
                f"{self.root / table.paths[index]} has {width} × {height} pixels, but its annotation was made for "
                f"{annotated[0]} × {annotated[1]}: its boxes would lie elsewhere. Was it resized, or turned (EXIF)?"
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
    """Converts uint8 images, single, batched or in lists, to float32 from 0 to 1. Detectors standardize them themselves."""

    def forward(self, inputs: Any) -> Any:
        if isinstance(inputs, Tensor):
            return inputs.float() / 255
        return [image.float() / 255 for image in inputs]
