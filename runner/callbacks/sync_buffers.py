"""Synchronizes the running statistics of batch norms across ranks."""

from __future__ import annotations

import pytorch_lightning as pl
import torch.distributed as dist

from runner.distributed.collectives import world_size
from runner.distributed.memory import running_statistics

__all__ = ["SyncBuffers"]


class SyncBuffers(pl.Callback):
    """Broadcasts the running statistics of rank 0 before each validation.

    Each rank collects statistics of its own share of the samples, but the metrics must be those of the model
    that is saved.
    """

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if world_size() > 1:
            for statistic in running_statistics(pl_module):
                dist.broadcast(statistic, src=0)
