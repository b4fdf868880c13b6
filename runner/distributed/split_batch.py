"""Splitting a batch into micro-batches with the same total gradient."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from runner.distributed.collectives import sum_tensor_over_ranks, world_size

__all__ = ["cut", "num_passes", "num_samples", "set_weights", "shares"]


def num_samples(batch: Any) -> int:
    """The number of samples in this rank's share of a batch.

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
    """The smallest and the largest number of samples that a rank has of this batch; the same result on every
    rank.
    """
    count, ranks = num_samples(batch), world_size()
    if ranks == 1 or "weight" not in batch:
        return count, count
    everywhere = round(count * ranks / float(batch["weight"]))
    return everywhere // ranks, math.ceil(everywhere / ranks)


def num_passes(batch: dict[str, Any], size: int | None) -> int:
    """The number of micro-batches of at most ``size`` samples. It is the same on every rank, because
    synchronized norms wait for one another.
    """
    if size is None:
        return 1
    least, most = shares(batch)
    return max(1, min(math.ceil(most / size), least))


def cut(batch: dict[str, Any], parts: int) -> list[dict[str, Any]]:
    """Splits a batch into ``parts`` micro-batches whose sizes differ by at most one sample.

    If there are several, each stores its position under ``rows``: ``(begin, end, samples of the batch)``.
    """
    if parts == 1:
        return [dict(batch)]  # a copy, because a micro-batch gets its own weight
    count = num_samples(batch)
    ends = [count * part // parts for part in range(parts + 1)]
    runs = itertools.pairwise(ends)
    return [piece(batch, begin, end, count) | {"rows": (begin, end, count)} for begin, end in runs]


def piece(value: Any, begin: int, end: int, count: int) -> Any:
    """Slices every value that has one entry per sample; all other values are shared by the micro-batches."""
    if isinstance(value, Tensor):
        return value[begin:end] if value.dim() and len(value) == count else value
    if isinstance(value, list | tuple) and len(value) == count:
        return value[begin:end]
    if isinstance(value, dict):
        return {key: piece(item, begin, end, count) for key, item in value.items()}
    return value


def set_weights(
    parts: list[dict[str, Any]], batch: dict[str, Any], units: Callable[[dict[str, Any]], Any] | None
) -> None:
    """Sets the weight of each micro-batch's loss, so that the sum over micro-batches, averaged over the
    ranks, is the loss of the batch.

    Args:
        units: counts what the loss of a batch is averaged over, if that is not its samples (pixels, tokens).
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
