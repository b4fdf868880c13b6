"""Collectives over the ranks of a run.

With one rank, or without a process group, each returns its argument.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = [
    "all_gather",
    "any_across_ranks",
    "barrier",
    "current_rank",
    "gather_to_rank0",
    "mean_over_ranks",
    "own_part",
    "sum_over_ranks",
    "sum_tensor_over_ranks",
    "world_size",
]


def world_size() -> int:
    """Return the number of ranks."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def current_rank() -> int:
    """Return the rank of this process."""
    return dist.get_rank() if world_size() > 1 else 0


def sum_over_ranks(*numbers: float) -> list[float]:
    """Return each number's sum over the ranks, in double precision. Every rank must call it."""
    if world_size() == 1:
        return list(numbers)
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    values = torch.tensor(numbers, dtype=torch.float64, device=device)
    dist.all_reduce(values)
    return values.tolist()


def sum_tensor_over_ranks(value: Tensor) -> Tensor:
    """Return a tensor's sum over the ranks, computed on its device without a host synchronization.

    Every rank must call it.
    """
    if world_size() > 1:
        value = value.clone()
        dist.all_reduce(value)
    return value


def any_across_ranks(*conditions: bool) -> list[bool]:
    """Return whether each condition is true on at least one rank. Every rank must call it."""
    return [number > 0 for number in sum_over_ranks(*(float(condition) for condition in conditions))]


def mean_over_ranks(*numbers: float) -> list[float]:
    """Return each number's mean over the ranks. Every rank must call it."""
    if world_size() == 1:
        return list(numbers)
    return [number / world_size() for number in sum_over_ranks(*numbers)]


def all_gather(value: Any) -> list[Any]:
    """Return the values of all ranks in the order of ranks. Every rank must call it.

    Args:
        value: a tensor or plain containers.
    """
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def gather_to_rank0(value: Any) -> list[Any]:
    """Return the values of all ranks on rank 0, an empty list on the others. Every rank must call it."""
    if world_size() == 1:
        return [value]
    values: list[Any] | None = [None] * world_size() if dist.get_rank() == 0 else None
    dist.gather_object(value, values, dst=0)
    return values or []


def own_part(parts: list[Any]) -> Any | None:
    """Return this rank's entry of a list from ``all_gather`` that was stored in a checkpoint.

    Returns:
        None if the world size has changed.
    """
    if len(parts) != world_size():
        return None
    return parts[dist.get_rank() if world_size() > 1 else 0]


def barrier() -> None:
    """Wait until all ranks have reached this point."""
    if world_size() > 1:
        dist.barrier()
