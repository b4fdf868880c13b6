"""A batch in several passes: fewer samples at once, and the same gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from runner.ranks.exchange import num_ranks, sum_tensor_over_ranks

__all__ = ["cut", "num_passes", "num_samples", "set_weights", "shares"]


def num_samples(batch: Any) -> int:
    """Samples of this rank's share of a batch.

    Raises:
        TypeError: it is none of runner's batches, so nobody knows.
    """
    if isinstance(batch, dict):
        for key in ("index", "targets", "inputs"):
            if isinstance(batch.get(key), Tensor | list | tuple):
                return len(batch[key])
    raise TypeError(f"a {type(batch).__name__} cannot be cut into passes; expected a dict with 'index' or 'inputs'")


def shares(batch: dict[str, Any]) -> tuple[int, int]:
    """The least and the most samples that a rank has of this batch; every rank comes to the same answer."""
    count, ranks = num_samples(batch), num_ranks()
    if ranks == 1 or "weight" not in batch:
        return count, count
    everywhere = round(count * ranks / float(batch["weight"]))
    return everywhere // ranks, math.ceil(everywhere / ranks)


def num_passes(batch: dict[str, Any], size: int | None) -> int:
    """In how many passes a batch goes through the model when ``size`` samples at once are allowed: the same number on
    every rank, for norms over the whole batch wait for one another."""
    if size is None:
        return 1
    least, most = shares(batch)
    return max(1, min(math.ceil(most / size), least))


def cut(batch: dict[str, Any], parts: int) -> list[dict[str, Any]]:
    """The batch in ``parts`` runs whose lengths differ by one sample at most.

    Each of several says in ``rows`` where it lies: ``(begin, end, samples of the batch)``.
    """
    if parts == 1:
        return [dict(batch)]  # a pass gets a weight of its own
    count = num_samples(batch)
    ends = [count * part // parts for part in range(parts + 1)]
    runs = zip(ends, ends[1:], strict=False)
    return [piece(batch, begin, end, count) | {"rows": (begin, end, count)} for begin, end in runs]


def piece(value: Any, begin: int, end: int, count: int) -> Any:
    """Whatever has one entry a sample is cut; the rest belongs to every pass."""
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
    """Gives each pass the weight of its loss, so that the sum over the passes, and the mean over the ranks, is the
    batch's loss.

    Args:
        units: what of a batch its loss is the mean over, where that is not its samples (pixels, tokens).
    """
    if units is not None and (len(parts) > 1 or num_ranks() > 1):
        counts = torch.stack([torch.as_tensor(units(part), dtype=torch.float64) for part in parts])
        counts = counts.to(batch["index"].device)
        total = sum_tensor_over_ranks(counts.sum()).clamp(min=torch.finfo(counts.dtype).tiny)
        for part, weight in zip(parts, counts * num_ranks() / total, strict=True):
            part["weight"] = weight.float()
    elif len(parts) > 1:
        count, weight = num_samples(batch), batch.get("weight", 1.0)
        for part in parts:
            part["weight"] = weight * num_samples(part) / count
