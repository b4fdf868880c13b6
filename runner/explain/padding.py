"""Size of images after a model's internal padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform

__all__ = ["padded_size"]


def padded_size(model: Any, inputs: Tensor) -> tuple[int, int]:
    """Returns the height and width covered by a model's feature maps, in pixels of its inputs ``(1, C, H, W)``.

    Detection and segmentation models pad on the right and at the bottom to a multiple of their stride.
    """
    height, width = inputs.shape[-2:]
    if isinstance(getattr(model, "transform", None), GeneralizedRCNNTransform):
        with torch.no_grad():
            images, _ = model.transform([inputs[0].detach()])
        (inner_height, inner_width), (outer_height, outer_width) = (
            images.image_sizes[0],
            images.tensors.shape[-2:],
        )
        return round(height * outer_height / inner_height), round(width * outer_width / inner_width)
    if hasattr(model, "lacking"):  # runner.models.segmentation.pad_to_stride
        return height + model.lacking(height), width + model.lacking(width)
    return height, width
