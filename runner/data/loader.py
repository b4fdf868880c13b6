"""Data loaders of splits."""

from __future__ import annotations

import signal
from typing import Any

import torch
from torch.utils.data import DataLoader

from runner.data.sampler import seed_of
from runner.data.split import Split

__all__ = ["make_loader"]

SIGNAL_GRACE_S = 20


def as_is(batch: dict[str, Any]) -> dict[str, Any]:
    """Returns the batch unchanged: the split already collates whole batches."""
    return batch


def outlive_signals(worker: int) -> None:
    """Ignores termination signals in a worker.

    Ctrl-C and most schedulers signal the whole process group, but the parent still needs batches until the step at
    which it saves its state. It stops its workers afterwards; the alarm stops orphaned ones."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(signum, lambda *_: signal.alarm(SIGNAL_GRACE_S))


def make_loader(
    split: Split,
    batch_size: int,
    *,
    shuffle: bool = False,
    seed: int = 0,
    num_workers: int = 0,
    drop_last: bool = False,
    pin_memory: bool = False,
    rank: int = 0,
    world_size: int = 1,
    weights: torch.Tensor | None = None,
) -> DataLoader:
    """Returns a loader of a split's batches, or of one rank's share of each.

    The loader has its own generator, so that creating an iterator does not change the run's random state.
    ``DataModule.set_rank`` ensures that each rank has samples.
    """
    order = {"seed": seed, "shuffle": shuffle, "drop_last": drop_last}
    sampler = split.batch_sampler(batch_size, **order, rank=rank, world_size=world_size)
    if weights is not None:
        sampler.weights = weights
    return DataLoader(
        split,
        batch_sampler=sampler,
        collate_fn=as_is,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        worker_init_fn=outlive_signals,
        generator=torch.Generator().manual_seed(seed_of(seed, "loader")),
    )
