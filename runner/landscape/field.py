"""The loss of a task as a function of where its weights are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from runner.data.sampler import seed_of
from runner.landscape.direction import Direction
from runner.tasks.base import Task

__all__ = ["LossField"]


class LossField:
    """``with LossField(…) as loss: loss(0.5, -0.5)``. After the block the weights are restored.

    Every point is computed from the center and draws the same random numbers (the proposals a detector is trained
    on), so that its loss does not depend on which points were asked for before. Statistics of norms go with the weights
    from the centre to where a direction leads, and no further: beyond it a variance could fall below zero.

    Args:
        task: in evaluation mode; the centre is where its weights are now.
        batches: of held-out data, as the task takes them; gone through once a point.
        directions: along which the coordinates count.
        seed: of what the loss draws.
    """

    def __init__(
        self, task: Task, batches: Iterable[dict[str, Any]], directions: Sequence[Direction], seed: int = 0
    ):
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
    """Of the processor and, where it is another, the device. (``torch.manual_seed`` notes a stack trace for each kind of
    device there might be, which takes longer than the loss of a small model.)"""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
