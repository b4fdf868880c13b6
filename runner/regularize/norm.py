"""Weight constraints: an L1 penalty, or a bound on the norm of each unit's weights."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

from runner.optim.roles import is_weight, weight_names
from runner.regularize.units import bound_units

__all__ = ["L1Penalty", "MaxNorm"]


class L1Penalty(pl.Callback):
    """Adds the gradient of ``strength · Σ|w|`` to that of the loss; norms, biases and gains are not penalized.

    It is applied once per update, however many batches are accumulated; logged losses do not include it.
    """

    def __init__(self, strength: float):
        self.strength = strength

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        with torch.no_grad():
            weights = weight_names(pl_module.model)
            for name, weight in pl_module.model.named_parameters():
                if weight.grad is not None and name in weights:
                    weight.grad.add_(weight.sign(), alpha=self.strength)


class MaxNorm(pl.Callback):
    """After each update, scales down the incoming weights of every unit whose norm is above the bound
    (Srivastava et al. 2014).

    Args:
        bound: the largest Euclidean norm of the weights into one unit or channel.
    """

    def __init__(self, bound: float):
        self.bound = bound
        self._step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._step = trainer.global_step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        for module in pl_module.model.modules():
            for name, weight in module.named_parameters(recurse=False):
                if weight.requires_grad and is_weight(module, name, weight):
                    bound_units(module, weight, self.bound)
