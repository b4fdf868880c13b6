"""Collectives over the ranks of a run. With one rank, or without a process group, each returns its argument."""

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
    """A tensor's sum over the ranks, computed on its device without a host synchronization. Every rank must call it."""
    if num_ranks() > 1:
        value = value.clone()
        dist.all_reduce(value)
    return value


def any_rank(*facts: bool) -> list[bool]:
    """Whether each condition is true on at least one rank. Every rank must call it."""
    return [number > 0 for number in sum_over_ranks(*(float(fact) for fact in facts))]


def mean_over_ranks(*numbers: float) -> list[float]:
    """Each number's mean over the ranks. Every rank must call it."""
    if num_ranks() == 1:
        return list(numbers)
    return [number / num_ranks() for number in sum_over_ranks(*numbers)]


def all_of(value: Any) -> list[Any]:
    """The values of all ranks, in the order of ranks: tensors or plain containers. Every rank must call it."""
    if num_ranks() == 1:
        return [value]
    values: list[Any] = [None] * num_ranks()
    dist.all_gather_object(values, value)
    return values


def to_first(value: Any) -> list[Any]:
    """The values of all ranks on rank 0, in the order of ranks; empty on the others. Every rank must call it."""
    if num_ranks() == 1:
        return [value]
    values: list[Any] | None = [None] * num_ranks() if dist.get_rank() == 0 else None
    dist.gather_object(value, values, dst=0)
    return values or []


def own_part(parts: list[Any]) -> Any | None:
    """This rank's entry in a list from ``all_of`` that was stored in a checkpoint; None if the world size has changed."""
    if len(parts) != num_ranks():
        return None
    return parts[dist.get_rank() if num_ranks() > 1 else 0]


def barrier() -> None:
    if num_ranks() > 1:
        dist.barrier()
