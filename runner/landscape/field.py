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
    """Batches of a split, normalised and on the device. They are read once and kept, as long as they take
    less than 2 GiB; anything larger is read again each time.

    Args:
        data: set up.
        most: samples, at most, evenly spread over the split; of a running text windows, from the beginnings
            of its streams. All when None.
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


class LossField:
    """``with LossField(…) as loss: loss(0.5, -0.5)``. After the block the weights are restored.

    Every point is computed from the center and draws the same random numbers (the proposals a detector is
    trained on), so that its loss does not depend on which points were asked for before. Statistics of norms
    go with the weights
    from the centre to where a direction leads, and no further: beyond it a variance could fall below zero.

    Args:
        task: in evaluation mode; the centre is where its weights are now.
        batches: of held-out data, as the task takes them; gone through once a point.
        directions: along which the coordinates count.
        seed: of what the loss draws.
    """

    def __init__(
        self, task: Task, batches: Iterable[dict[str, Any]], directions: Sequence[Direction], seed: int = 0
    ) -> None:
        self.task = task
        self.batches = batches
        self.seed = seed
        weights = dict(
            task.model.named_parameters(remove_duplicate=False)
        )  # one that is shared has several names
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
        for tensor, centre, parts, is_weight in self.moved:
            tensor.copy_(centre)
            for coordinate, part in zip(coordinates, parts, strict=False):
                if part is not None:
                    tensor.add_(part, alpha=coordinate if is_weight else min(max(coordinate, 0.0), 1.0))

    @torch.no_grad()
    def __call__(self, *coordinates: float) -> float:
        """The mean loss of all samples; it may be infinite or no number far from the centre."""
        self.go_to(*coordinates)
        return self.task.loss_over(self.seeded_batches())

    def seeded_batches(self) -> Iterator[dict[str, Any]]:
        for number, batch in enumerate(self.batches):
            seed_generators(seed_of(self.seed, "loss", number), self.task.device)
            yield dict(batch)


def seed_generators(seed: int, device: torch.device) -> None:
    """Of the processor and, where it is another, the device. (``torch.manual_seed`` notes a stack trace for
    each kind of device there might be, which takes longer than the loss of a small model.)
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
