"""Batch-norm statistics for averaged weights, which no training step has used."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from runner.data.sampler import seed_of
from runner.distributed.collectives import world_size

__all__ = ["measure_statistics", "training_norms"]


def training_norms(model: nn.Module) -> list[_BatchNorm]:
    """Batch norms that currently update their statistics, which excludes those of a frozen backbone."""
    return [
        m for m in model.modules() if isinstance(m, _BatchNorm) and m.training and m.running_mean is not None
    ]


def measure_statistics(
    trainer: pl.Trainer, pl_module: pl.LightningModule, norms: list[_BatchNorm], max_batches: int, seed: int
) -> None:
    """Sets mean and variance of ``norms`` to those of the first training batches of epoch 0.

    The modes of all modules and the random state are restored afterwards.
    """
    if not norms:
        return
    modes = {module: module.training for module in pl_module.modules()}
    momenta = {norm: norm.momentum for norm in norms}
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    for module in pl_module.modules():
        module.training = not isinstance(module, _BatchNorm) or module in momenta
    try:
        with torch.random.fork_rng(), torch.no_grad(), trainer.precision_plugin.forward_context():
            torch.manual_seed(seed_of(seed, "batch norm", trainer.global_step))
            for batch in islice(train_batches(trainer), max_batches):
                pl_module.step(trainer.strategy.batch_to_device(batch, dataloader_idx=0))
    finally:
        for module, mode in modes.items():
            module.training = mode
        for norm, momentum in momenta.items():
            norm.momentum = momentum
    if world_size() > 1:
        for norm in norms:
            for buffer in (norm.running_mean, norm.running_var):
                dist.all_reduce(buffer)
                buffer.div_(world_size())


def train_batches(trainer: pl.Trainer) -> Iterable[Any]:
    """Batches from a separate loader in this process, since the trainer's loader is in the middle of an epoch."""
    data = trainer.datamodule
    workers, data.num_workers = data.num_workers, 0
    try:
        return data.train_dataloader()
    finally:
        data.num_workers = workers
