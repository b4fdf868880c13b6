"""Estimates the largest micro-batch that fits into memory from the memory of small ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from runner.distributed.memory import StepSnapshot, free_bytes, is_out_of_memory, release_memory
from runner.distributed.split_batch import cut

__all__ = ["GIB", "Need", "fitting_size", "measure_need"]

FILL = 0.85
"""Fraction of the free memory to use, since allocators fragment memory and samples differ in size."""

CPU_FACTOR = 1.5
"""Factor for memory that is not measured on a CPU, where only saved tensors are counted."""

GIB = 2**30


@dataclass(frozen=True)
class Need:
    """Memory requirement of a step, in bytes.

    Attributes:
        fixed, per_sample: a micro-batch of n samples needs ``fixed + n · per_sample``.
        update: memory of gradients and optimizer state.
        free: available memory.
    """

    fixed: float
    per_sample: float
    update: float
    free: float

    def of(self, count: int) -> float:
        """Return the memory of a micro-batch of ``count`` samples, in bytes."""
        return self.fixed + self.update + count * self.per_sample

    @property
    def max_samples(self) -> int:
        """Number of samples that fit, at least one."""
        remaining = self.free * FILL - self.fixed - self.update
        return max(1, int(remaining / max(self.per_sample, 1.0)))


def measure_need(
    strategy: Any, batch: dict[str, Any], count: int, memory_gib: float | None, sharers: int
) -> Need:
    """Measure micro-batches of ``count // 2`` and ``count`` samples; all state is restored afterwards.

    Args:
        strategy: strategy of a trainer that is about to start.
        batch: ``count`` samples, on the device.
        count: number of samples.
        memory_gib: upper bound of the memory to use, in GiB; None for the free memory.
        sharers: number of processes that share the memory.
    """
    task, device = strategy.lightning_module, strategy.root_device
    used = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    free = free_bytes(device) / sharers
    if memory_gib is not None:
        free = min(free, memory_gib * GIB - used)
    few = max(1, count // 2)
    small, large = (bytes_of_pass(strategy, cut_to(batch, n, count)) for n in (few, count))
    per_sample = (large - small) / (count - few) if count > few else large
    weights = sum(p.numel() * p.element_size() for p in task.parameters() if p.requires_grad)
    has_state = any(optimizer.state for optimizer in strategy.optimizers)
    return Need(max(large - count * per_sample, 0.0), per_sample, weights * (1 if has_state else 3), free)


def cut_to(batch: dict[str, Any], count: int, of: int) -> dict[str, Any]:
    """Return the first half of a batch of ``of`` samples if ``count`` is smaller, otherwise the batch."""
    return cut(batch, 2)[0] if count < of else batch


def bytes_of_pass(strategy: Any, batch: dict[str, Any]) -> float:
    """Measure the peak memory of a forward and a backward pass; infinite if they do not fit."""
    task, device = strategy.lightning_module, strategy.root_device
    snapshot = StepSnapshot(task, device)
    try:
        if device.type == "cuda":
            return float(peak_of_pass(strategy, batch, device))
        return CPU_FACTOR * saved_by_pass(strategy, batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return float("inf")
    finally:
        snapshot.restore()
        for parameter in task.parameters():
            parameter.grad = None
        release_memory(device)


def peak_of_pass(strategy: Any, batch: dict[str, Any], device: torch.device) -> int:
    """Measure the peak memory of a forward and a backward pass on a GPU, in bytes."""
    torch.cuda.reset_peak_memory_stats(device)
    begin = torch.cuda.memory_allocated(device)
    loss = strategy.forward_pass(batch, 0)
    torch.autograd.grad(
        loss, [p for p in strategy.lightning_module.parameters() if p.requires_grad], allow_unused=True
    )
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - begin


def saved_by_pass(strategy: Any, batch: dict[str, Any]) -> int:
    """Count the bytes that the forward pass saves for the backward pass, without the weights.

    Each storage is counted once.
    """
    weights = {parameter.untyped_storage().data_ptr() for parameter in local(strategy.lightning_module)}
    saved: dict[int, Any] = {}

    def save(tensor: Tensor) -> Tensor:
        if type(tensor) is Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                saved[storage.data_ptr()] = storage  # kept alive, so that its address is not reused
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        strategy.forward_pass(batch, 0)
    return sum(storage.nbytes() for storage in saved.values())


def local(module: nn.Module) -> list[Tensor]:
    """Return the parameters, or this rank's shards of them."""
    return [getattr(parameter, "_local_tensor", parameter) for parameter in module.parameters()]


def fitting_size(need: Need, share: int) -> int | None:
    """Return the size of micro-batches that fit and are as equal as possible.

    Args:
        need: memory requirement.
        share: number of samples in this rank's share of the batch.

    Returns:
        None if the whole share fits.
    """
    if need.max_samples >= share:
        return None
    num_micro_batches = -(-share // need.max_samples)
    return -(-share // num_micro_batches)
