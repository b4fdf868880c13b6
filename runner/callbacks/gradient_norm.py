"""The norm of the gradient in the journal."""

from __future__ import annotations

import pytorch_lightning as pl
import torch

__all__ = ["GradientNorm"]


class GradientNorm(pl.Callback):
    """Logs ``train/grad_norm``, before clipping, of the updates whose loss is logged too."""

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        step = trainer.global_step + 1
        if trainer.logger is None or not trainer.log_every_n_steps or step % trainer.log_every_n_steps:
            return
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if gradients:
            norm = torch.nn.utils.get_total_norm(gradients)
            trainer.logger.log_metrics({"train/grad_norm": float(norm)}, step)
