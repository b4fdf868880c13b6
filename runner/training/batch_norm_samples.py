"""Checks that each training batch norm gets at least two values per channel; it cannot normalize one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from runner.callbacks.frozen_modules import batch_norms
from runner.callbacks.transfer import FrozenBackbone, Unfreezing
from runner.config.build import build
from runner.data.base import DataModule
from runner.errors import UserError
from runner.models.head import head_modules
from runner.training.batch_counts import loader_length

__all__ = ["check_batch_norms", "smallest_pass", "values_per_channel"]


@contextmanager
def values_per_channel(model: nn.Module) -> Iterator[dict[nn.Module, int]]:
    """Records how many values per channel each batch norm gets in forward passes within the context.

    The yielded dict holds the minimum over all calls.
    """
    counts: dict[nn.Module, int] = {}

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        values = inputs[0] if inputs else None
        if isinstance(values, torch.Tensor) and values.dim() > 1 and values.shape[1]:
            counts[module] = min(counts.get(module, values.numel()), values.numel() // values.shape[1])

    hooks = [norm.register_forward_pre_hook(note) for norm in batch_norms(model.modules())]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


def check_batch_norms(
    model: nn.Module,
    counts: dict[nn.Module, int],
    data: DataModule,
    config: dict[str, Any],
    world_size: int = 1,
) -> None:
    """Checks that no training batch norm gets a single value per channel.

    Args:
        model: the model.
        counts: number of values per channel that each batch norm gets per sample.
        data: the data module after ``setup``.
        config: the resolved config.
        world_size: number of ranks.

    Raises:
        UserError: a training batch norm would get a single value per channel.
    """
    single = {id(module) for module, count in counts.items() if count == 1}
    if not any(id(norm) in single for norm in trained_norms(model, config.get("transfer"))):
        return
    least, cause = smallest_pass(data, config, world_size)
    if least == 1:
        raise UserError(
            f"{type(model).__name__} has a batch norm over vectors, which needs two samples, and {cause}. "
            f"{remedy(config, data)}"
        )


def trained_norms(model: nn.Module, transfer: Any) -> list[_BatchNorm]:
    """Returns the batch norms that use batch statistics at some point of the training."""
    norms = [norm for norm in batch_norms(model.modules()) if isinstance(norm, _BatchNorm)]
    callback = build(transfer) if transfer else None
    if isinstance(callback, FrozenBackbone) or (
        isinstance(callback, Unfreezing) and callback.batch_norm == "still"
    ):
        head = {id(module) for part in head_modules(model) for module in part.modules()}
        return [norm for norm in norms if id(norm) in head]
    return norms


def smallest_pass(data: DataModule, config: dict[str, Any], world_size: int = 1) -> tuple[int, str]:
    """Returns the smallest number of training samples in one forward pass, and a description of its cause."""
    hardware = config.get("hardware") or {}
    size = hardware.get("micro_batch")
    size = size if isinstance(size, int) and not isinstance(size, bool) else None
    together = world_size if hardware.get("sync_batchnorm") and world_size > 1 else 1
    best: tuple[int, str] | None = None
    for batch in batch_sizes(data, config.get("trainer") or {}):
        share = max(batch // world_size, 1)
        passes = 1 if size is None else max(1, min(math.ceil(math.ceil(batch / world_size) / size), share))
        least = share // passes * together
        if best is None or least < best[0]:
            best = least, cause_of(data, batch, share, passes, size, world_size)
    return best or (data.batch_size, "")


def cause_of(data: DataModule, batch: int, share: int, passes: int, size: int | None, world_size: int) -> str:
    if passes > 1:
        return f"hardware.micro_batch={size} cuts a batch of {share} so that one sample is left alone"
    if world_size > 1 and share < batch:
        return f"each of {world_size} devices gets {share} of data.batch_size={data.batch_size} samples"
    if batch < data.batch_size:
        return f"the last batch of an epoch holds {batch}"
    return f"data.batch_size={data.batch_size} gives it one"


def batch_sizes(data: DataModule, trainer: dict[str, Any]) -> list[int]:
    """Returns the sizes of the first and the last training batch of an epoch."""
    sampler = getattr(data.train_dataloader(), "batch_sampler", None)
    count, size_of = loader_length(data, "train"), getattr(sampler, "size_of", None)
    if size_of is None or not count:
        return [data.batch_size]
    limit = trainer.get("limit_train_batches")
    used = count if limit is None else int(count * limit) if isinstance(limit, float) else min(limit, count)
    return [size_of(0), size_of(max(used, 1) - 1)]


def remedy(config: dict[str, Any], data: DataModule) -> str:
    hardware, model = config.get("hardware") or {}, config.get("model") or {}
    larger = (
        "hardware.micro_batch" if data.batch_size > 1 and hardware.get("micro_batch") else "data.batch_size"
    )
    if "normalization" in model:
        return f"Raise {larger}, or choose model.normalization=layer or none."
    return f"Raise {larger}, or choose a model without batch norm."
