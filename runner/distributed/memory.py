"""Recognizes out-of-memory errors and restores the state changed by a failed step."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = [
    "StepSnapshot",
    "free_bytes",
    "is_out_of_memory",
    "release_memory",
    "running_statistics",
    "tensors_of",
]

MESSAGES = (
    "out of memory",  # CUDA and MPS
    "can't allocate memory",  # torch's CPU allocator
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that the memory of a device is exhausted."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in MESSAGES)


def release_memory(device: torch.device) -> None:
    """Release the memory held by a failed step."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


class StepSnapshot:
    """The state that a training step changes, without gradients.

    This comprises random states, running statistics and attributes of the task.

    Args:
        task: the task. Its attributes are stored by reference: in-place changes of values are not undone.
        device: device of the training.
    """

    def __init__(self, task: nn.Module, device: torch.device) -> None:
        self.task = task
        self.device = device
        self.attributes = dict(vars(task))
        self.random = torch.get_rng_state()
        self.device_random = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        self.statistics = [(tensor, tensor.clone()) for tensor in running_statistics(task)]

    def restore(self) -> None:
        """Restore the state."""
        vars(self.task).clear()
        vars(self.task).update(self.attributes)
        torch.set_rng_state(self.random)
        if self.device_random is not None:
            torch.cuda.set_rng_state(self.device_random, self.device)
        with torch.no_grad():
            for tensor, value in self.statistics:
                tensor.copy_(value)


def running_statistics(module: nn.Module) -> Iterator[Tensor]:
    """Yield the buffers in which norm layers accumulate means and variances."""
    for norm in module.modules():
        if getattr(norm, "track_running_stats", False):
            yield from (buffer for buffer in norm._buffers.values() if buffer is not None)


def free_bytes(device: torch.device) -> int:
    """Return the available memory of a GPU, or of the machine for other devices, in bytes."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    import psutil

    return psutil.virtual_memory().available


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Yield all tensors of nested containers."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_of(item)
