"""A snapshot of the training state, which can be written to disk while training continues."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

__all__ = ["snapshot"]


def snapshot(value: Any) -> Any:
    """Nested containers with every tensor copied into main memory.

    Tensors that share their memory share it in the copy too, and so do containers: saving the copy writes the same
    bytes as saving the original would have.
    """
    return _copied(value, {}, {})


def _copied(value: Any, seen: dict[int, Any], storages: dict[int, Any]) -> Any:
    if value is None or isinstance(
        value, str | bytes | int | float | complex | bool | torch.dtype | torch.device
    ):
        return value
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, Tensor):
        copied = _tensor(value, storages)
    elif isinstance(value, dict):
        copied = copy.copy(value)  # its type, and what a state_dict keeps beside its items
        for key, item in value.items():
            copied[key] = _copied(item, seen, storages)
    elif isinstance(value, list):
        copied = [_copied(item, seen, storages) for item in value]
    elif isinstance(value, tuple):
        items = [_copied(item, seen, storages) for item in value]
        copied = type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    else:
        copied = copy.deepcopy(value)
    seen[id(value)] = copied
    return copied


def _tensor(tensor: Tensor, storages: dict[int, Any]) -> Tensor:
    tensor = tensor.detach()
    if type(tensor) is not Tensor or tensor.layout != torch.strided or tensor.is_quantized:
        return tensor.cpu() if tensor.device.type != "cpu" else tensor.clone()
    storage = tensor.untyped_storage()
    if storage._cdata not in storages:
        storages[storage._cdata] = storage.clone() if storage.device.type == "cpu" else storage.cpu()
    copied = torch.empty(0, dtype=tensor.dtype)
    return copied.set_(storages[storage._cdata], tensor.storage_offset(), tensor.size(), tensor.stride())
