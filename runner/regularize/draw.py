"""Random numbers of a batch: a function of seed, purpose and place, never of what was drawn before."""

from __future__ import annotations

import torch
from torch import Tensor

from runner.data.sampler import seed_of

__all__ = ["normal_like"]


def normal_like(tensor: Tensor, *place: int | str) -> Tensor:
    """Standard normal numbers of the tensor's shape. They are drawn on the CPU: the same on every device."""
    generator = torch.Generator().manual_seed(seed_of(*place))
    return torch.randn(tensor.shape, generator=generator, dtype=torch.float32).to(tensor)
