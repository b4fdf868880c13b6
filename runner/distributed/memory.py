"""Out-of-memory errors, and restoring the state that a failed step has changed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Before", "free_bytes", "is_out_of_memory", "let_go", "running_statistics", "tensors_of"]

SAYINGS = (
    "out of memory",  # CUDA, MPS, and what wraps them
    "can't allocate memory",  # the CPU's allocator
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(saying in str(error) for saying in SAYINGS)


def let_go(device: torch.device) -> None:
    """Releases the memory held by a failed step."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


class Before:
    """A snapshot of what a training step changes besides gradients: random states, running statistics and
    attributes of the task.

    Args:
        task: its attributes are stored by reference; in-place changes of their values are not undone.
    """

    def __init__(self, task: nn.Module, device: torch.device) -> None:
        self.task = task
        self.device = device
        self.attributes = dict(vars(task))
        self.random = torch.get_rng_state()
        self.device_random = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        self.statistics = [(tensor, tensor.clone()) for tensor in running_statistics(task)]

    def restore(self) -> None:
        vars(self.task).clear()
        vars(self.task).update(self.attributes)
        torch.set_rng_state(self.random)
        if self.device_random is not None:
            torch.cuda.set_rng_state(self.device_random, self.device)
        with torch.no_grad():
            for tensor, value in self.statistics:
                tensor.copy_(value)


def running_statistics(module: nn.Module) -> Iterator[Tensor]:
    """The buffers in which norms accumulate means and variances."""
    for norm in module.modules():
        if getattr(norm, "track_running_stats", False):
            yield from (buffer for buffer in norm._buffers.values() if buffer is not None)


def free_bytes(device: torch.device) -> int:
    """Available memory in bytes, of the device or, for a CPU, of the machine."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    import psutil

    return psutil.virtual_memory().available


def tensors_of(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_of(item)
