"""What the ranks of a run tell each other. With one rank, or outside a training, each call gives back what it got."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = [
    "all_of",
    "any_rank",
    "barrier",
    "mean_over_ranks",
    "num_ranks",
    "own_part",
    "own_rank",
    "sum_over_ranks",
    "sum_tensor_over_ranks",
    "to_first",
]


def num_ranks() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own_rank() -> int:
    return dist.get_rank() if num_ranks() > 1 else 0


def sum_over_ranks(*numbers: float) -> list[float]:
    """Each number's sum over the ranks, in double precision. Every rank must call it."""
    if num_ranks() == 1:
        return list(numbers)
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    values = torch.tensor(numbers, dtype=torch.float64, device=device)
    dist.all_reduce(values)
    return values.tolist()


def sum_tensor_over_ranks(value: Tensor) -> Tensor:
    """A tensor's sum over the ranks, on its device: nobody waits for the device. Every rank must call it."""
    if num_ranks() > 1:
        value = value.clone()
        dist.all_reduce(value)
    return value


def any_rank(*facts: bool) -> list[bool]:
    """Whether each holds on some rank. Every rank must call it."""
    return [number > 0 for number in sum_over_ranks(*(float(fact) for fact in facts))]


def mean_over_ranks(*numbers: float) -> list[float]:
    """Each number's mean over the ranks. Every rank must call it."""
    if num_ranks() == 1:
        return list(numbers)
    return [number / num_ranks() for number in sum_over_ranks(*numbers)]


def all_of(value: Any) -> list[Any]:
    """The value of every rank, by rank: tensors and plain containers. Every rank must call it."""
    if num_ranks() == 1:
        return [value]
    values: list[Any] = [None] * num_ranks()
    dist.all_gather_object(values, value)
    return values


def to_first(value: Any) -> list[Any]:
    """The value of every rank, by rank, on rank zero; nothing on the others. Every rank must call it."""
    if num_ranks() == 1:
        return [value]
    values: list[Any] | None = [None] * num_ranks() if dist.get_rank() == 0 else None
    dist.gather_object(value, values, dst=0)
    return values or []


def own_part(parts: list[Any]) -> Any | None:
    """Of ``all_of``'s answer in a checkpoint, what this rank gave; None when the number of ranks has changed."""
    if len(parts) != num_ranks():
        return None
    return parts[dist.get_rank() if num_ranks() > 1 else 0]


def barrier() -> None:
    if num_ranks() > 1:
        dist.barrier()
