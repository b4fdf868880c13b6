"""How often pixels of one class were taken for another, and what follows from it."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["PixelConfusion", "class_dice", "class_iou", "count_pixels"]


def count_pixels(preds: Tensor, targets: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Confusion matrices of each image: ``(N, K, K)``, row = truth, column = prediction.

    Args:
        preds, targets: class ids, ``(N, H, W)``; pixels whose target is ``ignore_index`` do not count.
    """
    num_images, cells = len(preds), num_classes**2
    place = torch.where(targets == ignore_index, cells, targets * num_classes + preds)
    place = place + (cells + 1) * torch.arange(num_images, device=place.device)[:, None, None]
    counts = torch.bincount(place.flatten(), minlength=num_images * (cells + 1))
    return counts.view(num_images, cells + 1)[:, :cells].reshape(num_images, num_classes, num_classes)


def class_iou(counts: Tensor) -> Tensor:
    """Intersection over union of each class ``(…, K)``; NaN for a class in neither truth nor prediction."""
    hits = counts.diagonal(dim1=-2, dim2=-1)
    return hits / (counts.sum(-1) + counts.sum(-2) - hits)


def class_dice(counts: Tensor) -> Tensor:
    """Dice, that is F1, of each class ``(…, K)``; NaN for a class in neither truth nor prediction."""
    hits = counts.diagonal(dim1=-2, dim2=-1)
    return 2 * hits / (counts.sum(-1) + counts.sum(-2))


class PixelConfusion(Metric):
    """The confusion matrix of all pixels, counted on the device in whole numbers."""

    full_state_update = False

    def __init__(self, num_classes: int):
        super().__init__()
        self.add_state("counts", torch.zeros(num_classes, num_classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, counts: Tensor) -> None:
        """Adds matrices of images, ``(N, K, K)``."""
        self.counts += counts.sum(0)

    def compute(self) -> Tensor:
        """``(K, K)``, row = truth, column = prediction."""
        return self.counts.clone()
