"""COCO average precision of boxes, computed with pycocotools.

Lin et al., "Microsoft COCO: common objects in context" (2014), https://cocodataset.org/#detection-eval
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torchmetrics import Metric

__all__ = ["BoxAveragePrecision", "BoxScores", "score_boxes"]

STATISTICS = (
    "map", "map_50", "map_75", "map_small", "map_medium", "map_large",
    "mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large",
)  # fmt: skip
"""The values of COCOeval's summary, in order."""


@dataclass
class BoxScores:
    """Results of COCOeval for K classes; NaN for classes without ground-truth boxes.

    Attributes:
        statistics: ``map`` (mean over IoU 0.50 to 0.95 and classes), ``map_50`` …; undefined values are
            omitted.
        class_map, class_map_50: average precision of each class, ``(K,)``.
        precision: precision at IoU 0.50, 0.55 … 0.95 and recall 0, 0.01 … 1, ``(10, 101, K)``.
    """

    statistics: dict[str, float]
    class_map: np.ndarray
    class_map_50: np.ndarray
    precision: np.ndarray


class BoxAveragePrecision(Metric):
    """Accumulates predicted and target boxes on every device and evaluates them in ``compute``.

    Args:
        num_classes: number of classes.
    """

    full_state_update = False
    images: list[Tensor] | Tensor
    preds: list[Tensor] | Tensor
    targets: list[Tensor] | Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        for name in ("images", "preds", "targets"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, index: Tensor, preds: list[dict[str, Tensor]], targets: list[dict[str, Tensor]]) -> None:
        """Adds one batch.

        Args:
            index: image ids, unique within a split, ``(N,)``.
            preds: for each image, ``boxes`` ``(m, 4)`` in xyxy format, ``labels`` and ``scores`` ``(m,)``.
            targets: for each image, ``boxes`` ``(n, 4)``, ``labels``, ``area`` and ``iscrowd`` ``(n,)``.
        """
        batch = (
            (self.images, index.to(self.device, precision(self.device))),
            (self.preds, box_table(index, preds, ("labels", "scores"))),
            (self.targets, box_table(index, targets, ("labels", "area", "iscrowd"))),
        )
        for state, rows in batch:
            assert isinstance(state, list)  # a single tensor only after synchronization
            state.append(rows)

    def compute(self) -> BoxScores:
        """Evaluates the boxes of all batches."""
        return score_boxes(
            joined(self.images), joined(self.preds, 7), joined(self.targets, 8), self.num_classes
        )


def precision(device: torch.device) -> torch.dtype:
    """Returns float64, which large coordinates and image ids need, or float32 on MPS, which lacks it."""
    return torch.float32 if device.type == "mps" else torch.float64


def box_table(index: Tensor, images: list[dict[str, Tensor]], names: tuple[str, ...]) -> Tensor:
    """Concatenates the boxes of all images.

    Args:
        index: image ids, ``(N,)``.
        images: boxes of each image.
        names: further columns.

    Returns:
        Image id, xyxy and the named columns, ``(boxes, 5 + len(names))``.
    """
    counts = torch.tensor([len(image["boxes"]) for image in images], device=index.device)
    columns = [index.repeat_interleave(counts)[:, None]]
    columns += [torch.cat([image["boxes"] for image in images])]
    columns += [torch.cat([image[name] for image in images])[:, None] for name in names]
    return torch.cat([column.to(index.device, precision(index.device)) for column in columns], 1)


def joined(state: list[Tensor] | Tensor, *width: int) -> np.ndarray:
    """Converts a metric state to an array.

    Args:
        state: a list of batches on one device, or one tensor after synchronization.
        width: number of columns, if the rows have several.
    """
    if isinstance(state, list):
        state = torch.cat(state) if state else torch.zeros(0, *width, dtype=torch.float64)
    return state.cpu().numpy().astype(np.float64)


def score_boxes(images: np.ndarray, preds: np.ndarray, targets: np.ndarray, num_classes: int) -> BoxScores:
    """Runs COCOeval on flat arrays.

    Args:
        images: ids of all images, including those without boxes, ``(N,)``.
        preds: image id, xyxy, label and score of each prediction, ``(P, 7)``.
        targets: image id, xyxy, label, area and crowd flag of each target, ``(T, 8)``.
        num_classes: number of classes.
    """
    order = np.argsort(preds[:, 0], kind="stable")
    truth = [
        {"id": number, "area": row[6], "iscrowd": int(row[7])} | entry(row)
        for number, row in enumerate(targets.tolist(), 1)
    ]
    predicted = [
        {"id": number, "area": (row[3] - row[1]) * (row[4] - row[2]), "iscrowd": 0, "score": row[6]}
        | entry(row)
        for number, row in enumerate(preds[order].tolist(), 1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation = COCOeval(
            as_coco(images, truth, num_classes), as_coco(images, predicted, num_classes), "bbox"
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = np.where(evaluation.eval["precision"] < 0, np.nan, evaluation.eval["precision"])[
        :, :, :, 0, -1
    ]
    statistics = {
        name: float(value) for name, value in zip(STATISTICS, evaluation.stats, strict=True) if value >= 0
    }
    return BoxScores(statistics, class_mean(precision), class_mean(precision[:1]), precision)


def entry(row: list[float]) -> dict[str, Any]:
    x1, y1, x2, y2 = row[1:5]
    return {"image_id": int(row[0]), "category_id": int(row[5]), "bbox": [x1, y1, x2 - x1, y2 - y1]}


def as_coco(images: np.ndarray, annotations: list[dict[str, Any]], num_classes: int) -> COCO:
    coco = COCO()
    coco.dataset = {
        "images": [{"id": int(number)} for number in np.unique(images)],
        "categories": [{"id": label} for label in range(num_classes)],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def class_mean(precision: np.ndarray) -> np.ndarray:
    """Averages ``(T, R, K)`` to ``(K,)``; NaN for classes without targets."""
    return precision.mean((0, 1))
