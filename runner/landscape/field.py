"""The loss of a task on fixed samples as a function of its weights."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor
from torch.utils.data import DataLoader

from runner.data.base import DataModule
from runner.data.sampler import seed_of
from runner.landscape.direction import Direction
from runner.tasks.base import Task

__all__ = ["LossField", "Samples"]

KEPT_BYTES = 2 * 2**30


class Samples:
    """Normalized batches of a split on the device.

    They are read once and kept in memory up to 2 GiB; the rest is read for every point.

    Args:
        data: data module after ``setup``.
        split: ``train``, ``val`` or ``test``.
        device: device of the batches.
        most: maximum number of samples, spread evenly over the split; for running text, of windows from the
            beginnings of its streams. All if None.
        kept_bytes: maximum size of the batches kept in memory.
    """

    def __init__(
        self,
        data: DataModule,
        split: str,
        device: torch.device,
        most: int | None = None,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        loader = data.eval_loader(split)
        assert isinstance(loader, DataLoader)  # set_up_split ensures that the split has samples
        sampler: Any = loader.batch_sampler  # an EpochBatchSampler or StreamSampler, see runner.data
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
        position = len(self._kept)
        rest = self.keys[position:]
        if not rest:
            return
        for loaded in DataLoader(self.dataset, batch_sampler=rest, collate_fn=self.collate):
            batch = move_data_to_device(self.data.on_after_batch_transfer(loaded, 0), self.device)
            if len(self._kept) == position and self._bytes + num_bytes(batch) <= self.kept_bytes:
                self._kept.append(batch)
                self._bytes += num_bytes(batch)
            position += 1
            yield batch


def num_bytes(value: Any) -> int:
    """Returns the size of all tensors in nested containers."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(map(num_bytes, parts))


class LossField:
    """``with LossField(…) as loss: loss(0.5, -0.5)``. After the block the weights are restored.

    Every point is computed from the center and draws the same random numbers (such as the proposals that a
    detector is trained on), so that its loss does not depend on the points measured before. Statistics of
    norms change with the weights from the center to the end of a direction, but not beyond, where a variance
    could become negative.

    Args:
        task: task in evaluation mode; its present weights are the center.
        batches: batches of held-out data; iterated once per point.
        directions: directions of the coordinates.
        seed: seed of the random numbers of the loss.
    """

    def __init__(
        self, task: Task, batches: Iterable[dict[str, Any]], directions: Sequence[Direction], seed: int = 0
    ) -> None:
        self.task = task
        self.batches = batches
        self.seed = seed
        weights = dict(task.model.named_parameters(remove_duplicate=False))  # shared weights, all names
        own = weights | dict(task.model.named_buffers(remove_duplicate=False))
        names = dict.fromkeys(name for direction in directions for name in direction)
        self.moved = [
            (
                own[name].data,
                own[name].detach().clone(),
                [direction.get(name) for direction in directions],
                name in weights,
            )
            for name in names
        ]

    def __enter__(self) -> LossField:
        return self

    def __exit__(self, *_: Any) -> None:
        self.go_to()

    @torch.no_grad()
    def go_to(self, *coordinates: float) -> None:
        """Sets the weights to those at a point; without coordinates, to the center."""
        for tensor, centre, parts, is_weight in self.moved:
            tensor.copy_(centre)
            for coordinate, part in zip(coordinates, parts, strict=False):
                if part is not None:
                    tensor.add_(part, alpha=coordinate if is_weight else min(max(coordinate, 0.0), 1.0))

    @torch.no_grad()
    def __call__(self, *coordinates: float) -> float:
        """Returns the mean loss of all samples at a point; far from the center it may not be finite."""
        self.go_to(*coordinates)
        return self.task.loss_over(self.seeded_batches())

    def seeded_batches(self) -> Iterator[dict[str, Any]]:
        """Yields the batches, and seeds the random numbers of each."""
        for number, batch in enumerate(self.batches):
            seed_generators(seed_of(self.seed, "loss", number), self.task.device)
            yield dict(batch)


def seed_generators(seed: int, device: torch.device) -> None:
    """Seeds the generators of the CPU and of the device.

    ``torch.manual_seed`` (PyTorch 2.15) records a stack trace for every kind of device, which takes longer
    than the loss of a small model.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
