"""Grouping of images of different sizes into batches of equal size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

__all__ = ["groups_of_one_size"]


def groups_of_one_size(images: Tensor | Sequence[Tensor]) -> Iterator[tuple[list[int], Tensor]]:
    """Yields positions in the batch and the images at them, ``(n, C, H, W)``; a tensor is a single group."""
    if isinstance(images, Tensor):
        yield list(range(len(images))), images
        return
    groups: dict[tuple[int, ...], list[int]] = {}
    for position, image in enumerate(images):
        groups.setdefault(tuple(image.shape), []).append(position)
    for positions in groups.values():
        yield positions, torch.stack([images[position] for position in positions])
