"""Whether what a training computes are still numbers. Of what is dealt out to the ranks, each looks at its share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

__all__ = ["gradients_are_finite", "gradients_not_finite", "parameters_not_finite"]


def numbers_of(tensor: Tensor) -> Tensor:
    """This rank's share, and of a sparse tensor the values."""
    if isinstance(tensor, DTensor):
        tensor = tensor.to_local()
    return tensor.coalesce().values() if tensor.is_sparse else tensor


def gradients_are_finite(module: nn.Module) -> Tensor:
    """A boolean that stays on the device, by the sum of each gradient: NaN and infinity stay in it, and nothing is
    faster. Numbers around 1e38 may add up to infinity too; ``gradients_not_finite`` knows better."""
    values = [numbers_of(p.grad) for p in module.parameters() if p.grad is not None]
    if not values:
        return torch.tensor(True)
    sums = [value.sum(dtype=torch.float32) for value in values]
    if len({one.device for one in sums}) > 1:  # a model dealt out to several devices of one process
        sums = [one.to(sums[0].device) for one in sums]
    return torch.isfinite(torch.stack(sums)).all()


def gradients_not_finite(module: nn.Module) -> list[str]:
    """Names of the parameters whose gradient holds NaN or infinity."""
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return [
        name for name, gradient in gradients.items() if not bool(torch.isfinite(numbers_of(gradient)).all())
    ]


def parameters_not_finite(module: nn.Module) -> list[str]:
    """Names of the parameters with NaN or infinity, and of the buffers with NaN (a mask may well hold infinity)."""
    saved = set(module.state_dict().keys())
    found = {name: torch.isfinite(numbers_of(p)).all() for name, p in module.named_parameters()}
    found |= {
        name: ~torch.isnan(numbers_of(buffer)).any()
        for name, buffer in module.named_buffers()
        if name in saved and buffer.is_floating_point()
    }
    if not found:
        return []
    device = next(iter(found.values())).device
    fine = torch.stack([flag.to(device) for flag in found.values()]).tolist()
    return [name for name, one in zip(found, fine, strict=True) if not one]
