"""The loader of a split."""

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
    """The split hands over whole batches already."""
    return batch


def outlive_signals(worker: int) -> None:
    """Ctrl-C and most schedulers signal the whole process group, but the parent still needs batches until the
    step at which it saves its state. It ends its workers then; the alarm ends one it has lost sight of."""
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
    """Batches of a split, or one rank's share of each. The loader draws from a generator of its own, so that making
    an iterator leaves the run's random state as it was. ``DataModule.deal_out`` sees to it that each rank has samples.
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
