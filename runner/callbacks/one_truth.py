"""What ranks gather for themselves is rank zero's before it is used or kept."""

from __future__ import annotations

import pytorch_lightning as pl
import torch.distributed as dist

from runner.devices.memory import running_statistics
from runner.ranks.exchange import num_ranks

__all__ = ["OneTruth"]


class OneTruth(pl.Callback):
    """Gives all ranks the running statistics of rank zero's norms before a validation: each rank gathers those of its
    own share of the samples, and the metrics have to be those of the model that is saved."""

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if num_ranks() > 1:
            for statistic in running_statistics(pl_module):
                dist.broadcast(statistic, src=0)
