"""Collation of images of any size and their masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["IGNORE", "MEAN_COLOR", "keep_sizes", "pad", "pad_to_largest"]

IGNORE = 255
"""Class id of ignored pixels in all data sets; masks are stored as uint8."""
MEAN_COLOR = (124, 116, 104)
"""ImageNet's mean, which normalization maps to zero."""

Sample = tuple[Tensor, Tensor]


def keep_sizes(samples: Sequence[Sample]) -> dict[str, Any]:
    """Collate for evaluation, without padding: predictions do not depend on the other images in the batch.

    Returns:
        ``inputs`` ``(N, 3, H, W)`` and ``targets`` ``(N, H, W)``; lists if the sizes differ.
    """
    images, masks = zip(*samples, strict=True)
    if len({image.shape for image in images}) > 1:
        return {"inputs": list(images), "targets": list(masks)}
    return {"inputs": torch.stack(images), "targets": torch.stack(masks)}


def pad_to_largest(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Collate for training: pad every image to the largest, with ignored pixels to the right and below."""
    height = max(mask.shape[0] for _, mask in samples)
    width = max(mask.shape[1] for _, mask in samples)
    return keep_sizes([pad(image, mask, height, width) for image, mask in samples])


def pad(image: Tensor, mask: Tensor, height: int, width: int, top: int = 0, left: int = 0) -> Sample:
    """Pad an image and its mask to a larger size; the added pixels are ignored."""
    if mask.shape == (height, width):
        return image, mask
    window = (slice(top, top + mask.shape[0]), slice(left, left + mask.shape[1]))
    padded_image = torch.tensor(MEAN_COLOR, dtype=image.dtype)[:, None, None].repeat(1, height, width)
    padded_image[:, *window] = image
    padded_mask = torch.full((height, width), IGNORE, dtype=mask.dtype)
    padded_mask[window] = mask
    return padded_image, padded_mask
