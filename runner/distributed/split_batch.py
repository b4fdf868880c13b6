"""Splits a batch into micro-batches with the same total gradient."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from runner.distributed.collectives import sum_tensor_over_ranks, world_size

__all__ = ["cut", "num_micro_batches", "num_samples", "set_weights", "shares"]


def num_samples(batch: Any) -> int:
    """Return the number of samples in this rank's share of a batch.

    Raises:
        TypeError: the batch is not a dictionary with ``index``, ``targets`` or ``inputs``.
    """
    if isinstance(batch, dict):
        for key in ("index", "targets", "inputs"):
            if isinstance(batch.get(key), Tensor | list | tuple):
                return len(batch[key])
    raise TypeError(
        f"a {type(batch).__name__} cannot be split into micro-batches; expected a dict with 'index' or "
        "'inputs'"
    )


def shares(batch: dict[str, Any]) -> tuple[int, int]:
    """Return the smallest and the largest number of samples of this batch on a rank.

    The result is the same on every rank.
    """
    count, ranks = num_samples(batch), world_size()
    if ranks == 1 or "weight" not in batch:
        return count, count
    total = round(count * ranks / float(batch["weight"]))
    return total // ranks, math.ceil(total / ranks)


def num_micro_batches(batch: dict[str, Any], size: int | None) -> int:
    """Return the number of micro-batches of at most ``size`` samples.

    It is the same on every rank, since synchronized norm layers wait for one another.
    """
    if size is None:
        return 1
    smallest, largest = shares(batch)
    return max(1, min(math.ceil(largest / size), smallest))


def cut(batch: dict[str, Any], parts: int) -> list[dict[str, Any]]:
    """Split a batch into ``parts`` micro-batches whose sizes differ by at most one sample.

    Each of several micro-batches stores its position under ``rows``: ``(begin, end, samples of the batch)``.
    """
    if parts == 1:
        return [dict(batch)]  # a copy, since a micro-batch gets its own weight
    count = num_samples(batch)
    ends = [count * part // parts for part in range(parts + 1)]
    ranges = itertools.pairwise(ends)
    return [sliced(batch, begin, end, count) | {"rows": (begin, end, count)} for begin, end in ranges]


def sliced(value: Any, begin: int, end: int, count: int) -> Any:
    """Slice every value that has one entry per sample; all others are shared by the micro-batches."""
    if isinstance(value, Tensor):
        return value[begin:end] if value.dim() and len(value) == count else value
    if isinstance(value, list | tuple) and len(value) == count:
        return value[begin:end]
    if isinstance(value, dict):
        return {key: sliced(item, begin, end, count) for key, item in value.items()}
    return value


def set_weights(
    parts: list[dict[str, Any]], batch: dict[str, Any], units: Callable[[dict[str, Any]], Any] | None
) -> None:
    """Set the weight of the loss of each micro-batch.

    The sum over the micro-batches, averaged over the ranks, is then the loss of the batch.

    Args:
        parts: the micro-batches.
        batch: the batch they were split from.
        units: counts the units the loss of a batch is averaged over, such as pixels or tokens; None if these
            are its samples.
    """
    if units is not None and (len(parts) > 1 or world_size() > 1):
        counts = torch.stack([torch.as_tensor(units(part), dtype=torch.float64) for part in parts])
        counts = counts.to(batch["index"].device)
        total = sum_tensor_over_ranks(counts.sum()).clamp(min=torch.finfo(counts.dtype).tiny)
        for part, weight in zip(parts, counts * world_size() / total, strict=True):
            part["weight"] = weight.float()
    elif len(parts) > 1:
        count, weight = num_samples(batch), batch.get("weight", 1.0)
        for part in parts:
            part["weight"] = weight * num_samples(part) / count
