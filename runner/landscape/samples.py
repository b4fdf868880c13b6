"""The samples that the loss is measured on: the same ones at every point."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor
from torch.utils.data import DataLoader

from runner.data.base import DataModule

__all__ = ["Samples"]

KEPT_BYTES = 2 * 2**30


class Samples:
    """Batches of a split, normalised and on the device. They are read once and kept, as long as they take less than
    2 GiB; anything larger is read again each time.

    Args:
        data: set up.
        most: samples, at most, evenly spread over the split; of a running text windows, from the beginnings of its
            streams. All when None.
    """

    def __init__(
        self,
        data: DataModule,
        split: str,
        device: torch.device,
        most: int | None = None,
        kept_bytes: int = KEPT_BYTES,
    ):
        loader = data.eval_loader(split)
        sampler = loader.batch_sampler
        self.data = data
        self.device = device
        self.kept_bytes = kept_bytes
        self.keys = sampler.some(most or sys.maxsize)
        self.dataset, self.collate = loader.dataset, loader.collate_fn
        self.count = sum(len(keys) for keys in self.keys)
        self._kept: list[dict[str, Any]] = []
        self._bytes = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield from list(self._kept)
        behind = len(self._kept)
        rest = self.keys[behind:]
        if not rest:
            return
        for batch in DataLoader(self.dataset, batch_sampler=rest, collate_fn=self.collate):
            batch = move_data_to_device(self.data.on_after_batch_transfer(batch, 0), self.device)
            if len(self._kept) == behind and self._bytes + num_bytes(batch) <= self.kept_bytes:
                self._kept.append(batch)
                self._bytes += num_bytes(batch)
            behind += 1
            yield batch


def num_bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(map(num_bytes, parts))
