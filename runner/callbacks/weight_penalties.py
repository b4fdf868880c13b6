"""Constrains the weights: an L1 penalty, or a bound on the norm of the weights of each unit."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.modules.conv import _ConvTransposeNd
from torch.optim import Optimizer

from runner.callbacks.lightning_internals import task_of
from runner.optim.groups import is_weight, weight_names

__all__ = ["L1Penalty", "MaxNorm", "bound_units", "by_unit"]

TINY = 1e-7


def by_unit(module: nn.Module, weight: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Reshape a weight so that some of its dimensions index the output units.

    The first dimension of most weights indexes units. A transposed convolution ``(in, out / groups, …)`` has
    its outputs in the second dimension, for each group of inputs. A module may define other dimensions with
    an attribute ``unit_dims``.

    Returns:
        The reshaped weight, and the dimensions that index units.
    """
    if isinstance(module, _ConvTransposeNd):
        return weight.unflatten(0, (module.groups, -1)), (0, 2)
    return weight, getattr(module, "unit_dims", (0,))


@torch.no_grad()
def bound_units(module: nn.Module, weight: Tensor, bound: float) -> None:
    """Scale down in place the incoming weights of each unit whose Euclidean norm exceeds ``bound``."""
    if not isinstance(module, _ConvTransposeNd) and not hasattr(module, "unit_dims"):
        local = weight.to_local() if isinstance(weight, DTensor) else weight  # shards contain whole units
        local.copy_(torch.renorm(local, 2, 0, bound))
        return
    whole = weight.full_tensor() if isinstance(weight, DTensor) else weight
    grouped, unit_dims = by_unit(module, whole)
    incoming = [dim for dim in range(grouped.ndim) if dim not in unit_dims]
    norms = torch.linalg.vector_norm(grouped, dim=incoming, keepdim=True)
    bounded = (grouped * torch.where(norms > bound, bound / (norms + TINY), 1.0)).reshape(whole.shape)
    if isinstance(weight, DTensor):
        bounded = distribute_tensor(bounded, weight.device_mesh, weight.placements)
    weight.copy_(bounded)


class L1Penalty(pl.Callback):
    """Adds the gradient of ``strength · Σ|w|`` to that of the loss.

    Norm layers, biases and gains are not penalized. The penalty is applied once per update, independent of
    gradient accumulation; logged losses do not include it.

    Args:
        strength: factor of the penalty.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        with torch.no_grad():
            model = task_of(pl_module).model
            weights = weight_names(model)
            for name, weight in model.named_parameters():
                if weight.grad is not None and name in weights:
                    weight.grad.add_(weight.sign(), alpha=self.strength)


class MaxNorm(pl.Callback):
    """Bounds the norm of the incoming weights of every unit after each update.

    Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.

    Args:
        bound: largest Euclidean norm of the incoming weights of a unit or channel.
    """

    def __init__(self, bound: float) -> None:
        self.bound = bound
        self._step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        for module in task_of(pl_module).model.modules():
            for name, weight in module.named_parameters(recurse=False):
                if weight.requires_grad and is_weight(module, name, weight):
                    bound_units(module, weight, self.bound)
