"""Random numbers of a batch, determined by seed, purpose and position rather than by earlier draws."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from runner.data.sampler import seed_of

__all__ = ["normal_like"]


def normal_like(tensor: Tensor, *place: int | str) -> Tensor:
    """Standard normal numbers of the tensor's shape, drawn on the CPU so that they are equal on every device. For a
    tensor sharded over ranks, each rank gets its shard."""
    generator = torch.Generator().manual_seed(seed_of(*place))
    noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float32).to(
        tensor.device, tensor.dtype
    )
    return (
        distribute_tensor(noise, tensor.device_mesh, tensor.placements)
        if isinstance(tensor, DTensor)
        else noise
    )
