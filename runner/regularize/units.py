"""The weights that lead into one unit or channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.modules.conv import _ConvTransposeNd

__all__ = ["bound_units", "by_unit"]

TINY = 1e-7


def by_unit(module: nn.Module, weight: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """``weight``, shaped so that some of its dimensions count the units, and which dimensions these are.

    The first dimension of a weight counts units. A transposed convolution ``(in, out / groups, …)`` has its outputs in
    the second dimension, for each group of inputs. A module may name others in ``unit_dims``.
    """
    if isinstance(module, _ConvTransposeNd):
        return weight.unflatten(0, (module.groups, -1)), (0, 2)
    return weight, getattr(module, "unit_dims", (0,))


@torch.no_grad()
def bound_units(module: nn.Module, weight: Tensor, bound: float) -> None:
    """Scales down, in place, the incoming weights of each unit whose Euclidean norm is above ``bound``."""
    if not isinstance(module, _ConvTransposeNd) and not hasattr(module, "unit_dims"):
        own = weight.to_local() if isinstance(weight, DTensor) else weight  # a rank's share holds whole units
        own.copy_(torch.renorm(own, 2, 0, bound))
        return
    whole = weight.full_tensor() if isinstance(weight, DTensor) else weight
    grouped, unit_dims = by_unit(module, whole)
    incoming = [dim for dim in range(grouped.ndim) if dim not in unit_dims]
    norms = torch.linalg.vector_norm(grouped, dim=incoming, keepdim=True)
    bounded = (grouped * torch.where(norms > bound, bound / (norms + TINY), 1.0)).reshape(whole.shape)
    if isinstance(weight, DTensor):
        bounded = distribute_tensor(bounded, weight.device_mesh, weight.placements)
    weight.copy_(bounded)
