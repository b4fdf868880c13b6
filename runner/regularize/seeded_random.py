"""Random numbers of a batch: a function of seed, purpose and place, never of what was drawn before."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from runner.data.sampler import seed_of

__all__ = ["normal_like"]


def normal_like(tensor: Tensor, *place: int | str) -> Tensor:
    """Standard normal numbers of the tensor's shape. They are drawn on the CPU: the same on every device. Of a tensor
    that is dealt out to the ranks, each has its share."""
    generator = torch.Generator().manual_seed(seed_of(*place))
    noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float32).to(tensor.device, tensor.dtype)
    return distribute_tensor(noise, tensor.device_mesh, tensor.placements) if isinstance(tensor, DTensor) else noise
