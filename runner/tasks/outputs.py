"""Outputs of evaluated batches: moved to the CPU, gathered in order, and joined."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["in_order", "join", "plain_values", "split_by_batch", "to_cpu"]


def to_cpu(value: Any) -> Any:
    """Copies all tensors of nested lists and dicts to the CPU."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: to_cpu(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_cpu(item) for item in value]
    return value


def split_by_batch(parts: list[Any], ends: list[int]) -> list[list[Any]]:
    """Groups the outputs of micro-batches by batch.

    Args:
        parts: outputs in the order of evaluation.
        ends: number of outputs after each batch.
    """
    return [parts[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def in_order(ranks: list[list[list[Any]]]) -> list[Any]:
    """Merges the outputs collected by all ranks into the order in which a single rank would collect them.

    Args:
        ranks: for each rank, the outputs of each batch.
    """
    return [part for batch in zip(*ranks, strict=True) for share in batch for part in share]


def join(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Merges the outputs of several batches: concatenates tensors and chains lists.

    Args:
        parts: outputs of each batch, with the same keys.
    """
    if not parts:
        return {}
    joined: dict[str, Any] = {}
    for key in parts[0]:
        values = [part[key] for part in parts]
        if isinstance(values[0], Tensor):
            joined[key] = torch.cat(values)
        elif isinstance(values[0], list):
            joined[key] = [item for value in values for item in value]
    return joined


def plain_values(values: Any) -> list[Any]:
    """Converts an output to one plain value per sample; a single column ``(N, 1)`` becomes numbers."""
    if not isinstance(values, Tensor):
        return list(values)
    return values.flatten().tolist() if values.dim() == 2 and values.shape[1] == 1 else values.tolist()
