"""Confusion matrix of pixels, and the IoU and Dice scores derived from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["PixelConfusion", "class_dice", "class_iou", "count_pixels", "groups_of_one_size"]


def groups_of_one_size(images: Tensor | Sequence[Tensor]) -> Iterator[tuple[list[int], Tensor]]:
    """Yields positions in the batch and the images at them, ``(n, C, H, W)``; a tensor is a single group.

    Args:
        images: ``(N, C, H, W)``, or images ``(C, H, W)`` of different sizes.
    """
    if isinstance(images, Tensor):
        yield list(range(len(images))), images
        return
    groups: dict[tuple[int, ...], list[int]] = {}
    for position, image in enumerate(images):
        groups.setdefault(tuple(image.shape), []).append(position)
    for positions in groups.values():
        yield positions, torch.stack([images[position] for position in positions])


def count_pixels(preds: Tensor, targets: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Counts the confusion matrix of each image: ``(N, K, K)``, row = truth, column = prediction.

    Args:
        preds: predicted class ids, ``(N, H, W)``.
        targets: class ids, ``(N, H, W)``.
        num_classes: number of classes, K.
        ignore_index: target of ignored pixels.
    """
    num_images, cells = len(preds), num_classes**2
    cell = torch.where(targets == ignore_index, cells, targets * num_classes + preds)
    cell = cell + (cells + 1) * torch.arange(num_images, device=cell.device)[:, None, None]
    counts = torch.bincount(cell.flatten(), minlength=num_images * (cells + 1))
    return counts.view(num_images, cells + 1)[:, :cells].reshape(num_images, num_classes, num_classes)


def class_iou(counts: Tensor) -> Tensor:
    """Computes the intersection over union of each class ``(…, K)``.

    It is NaN for classes in neither truth nor prediction.
    """
    hits = counts.diagonal(dim1=-2, dim2=-1)
    return hits / (counts.sum(-1) + counts.sum(-2) - hits)


def class_dice(counts: Tensor) -> Tensor:
    """Computes the Dice score (F1) of each class ``(…, K)``.

    It is NaN for classes in neither truth nor prediction.
    """
    hits = counts.diagonal(dim1=-2, dim2=-1)
    return 2 * hits / (counts.sum(-1) + counts.sum(-2))


class PixelConfusion(Metric):
    """Confusion matrix of all pixels, accumulated on the device as integers."""

    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.add_state(
            "counts", torch.zeros(num_classes, num_classes, dtype=torch.long), dist_reduce_fx="sum"
        )

    def update(self, counts: Tensor) -> None:
        """Adds the matrices of a batch, ``(N, K, K)``."""
        self.counts += counts.sum(0)

    def compute(self) -> Tensor:
        """Returns the matrix ``(K, K)``, row = truth, column = prediction."""
        return self.counts.clone()
