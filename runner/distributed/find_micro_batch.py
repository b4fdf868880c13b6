"""The largest micro-batch that fits into memory, estimated from the memory of small ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from runner.distributed.memory import Before, free_bytes, is_out_of_memory, let_go
from runner.distributed.split_batch import cut

__all__ = ["GIB", "Need", "fitting_size", "measure_need"]

FILL = 0.85
"""The fraction of free memory to use: allocators fragment memory, and samples differ in size."""

CPU_FACTOR = 1.5
"""On a CPU only the tensors saved for the backward pass are counted; the pass itself needs more."""

GIB = 2**30


@dataclass(frozen=True)
class Need:
    """The memory a step needs, in bytes.

    Attributes:
        fixed, per_sample: a micro-batch of n samples needs ``fixed + n · per_sample``.
        update: needed by gradients and optimizer state.
        free: available.
    """

    fixed: float
    per_sample: float
    update: float
    free: float

    def of(self, count: int) -> float:
        return self.fixed + self.update + count * self.per_sample

    @property
    def room(self) -> int:
        """The number of samples that fit, at least one."""
        left = self.free * FILL - self.fixed - self.update
        return max(1, int(left / max(self.per_sample, 1.0)))


def measure_need(
    strategy: Any, batch: dict[str, Any], count: int, memory_gib: float | None, sharers: int
) -> Need:
    """Measures micro-batches of ``count // 2`` and ``count`` samples, and restores all state.

    Args:
        strategy: of a trainer that is about to start.
        batch: ``count`` samples, on the device.
        memory_gib: upper bound of the memory to use, in GiB.
        sharers: number of processes that share the memory.
    """
    task, device = strategy.lightning_module, strategy.root_device
    taken = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    free = free_bytes(device) / sharers
    if memory_gib is not None:
        free = min(free, memory_gib * GIB - taken)
    few = max(1, count // 2)
    small, large = (bytes_of_pass(strategy, cut_to(batch, n, count)) for n in (few, count))
    per_sample = (large - small) / (count - few) if count > few else large
    weights = sum(p.numel() * p.element_size() for p in task.parameters() if p.requires_grad)
    has_state = any(optimizer.state for optimizer in strategy.optimizers)
    return Need(max(large - count * per_sample, 0.0), per_sample, weights * (1 if has_state else 3), free)


def cut_to(batch: dict[str, Any], count: int, of: int) -> dict[str, Any]:
    return cut(batch, 2)[0] if count < of else batch


def bytes_of_pass(strategy: Any, batch: dict[str, Any]) -> float:
    """The peak memory of a forward and a backward pass; infinite if they do not fit."""
    task, device = strategy.lightning_module, strategy.root_device
    before = Before(task, device)
    try:
        if device.type == "cuda":
            return float(peak_of_pass(strategy, batch, device))
        return CPU_FACTOR * kept_by_pass(strategy, batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return float("inf")
    finally:
        before.restore()
        for parameter in task.parameters():
            parameter.grad = None
        let_go(device)


def peak_of_pass(strategy: Any, batch: dict[str, Any], device: torch.device) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    begin = torch.cuda.memory_allocated(device)
    loss = strategy.forward_pass(batch, 0)
    torch.autograd.grad(
        loss, [p for p in strategy.lightning_module.parameters() if p.requires_grad], allow_unused=True
    )
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - begin


def kept_by_pass(strategy: Any, batch: dict[str, Any]) -> int:
    """Bytes of the tensors that the forward pass saves for the backward pass, each storage once, without the
    weights.
    """
    known = {parameter.untyped_storage().data_ptr() for parameter in local(strategy.lightning_module)}
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        if type(tensor) is Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in known:
                kept[storage.data_ptr()] = storage  # kept alive, so that its address is not reused
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        strategy.forward_pass(batch, 0)
    return sum(storage.nbytes() for storage in kept.values())


def local(module: nn.Module) -> list[Tensor]:
    return [getattr(parameter, "_local_tensor", parameter) for parameter in module.parameters()]


def fitting_size(need: Need, share: int) -> int | None:
    """The micro-batch size, as even as possible; None if the rank's whole share of the batch fits."""
    if need.room >= share:
        return None
    passes = -(-share // need.room)
    return -(-share // passes)
