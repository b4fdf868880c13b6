"""Splits: the samples of a source, read, augmented and collated into batches by a data loader."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from runner.data.sampler import EpochBatchSampler, Share, seed_of
from runner.errors import BrokenSampleError, ControlSignal, RunnerError

__all__ = ["ArraySource", "Source", "Split", "collate", "make_loader"]

SIGNAL_GRACE_S = 20


def as_is(batch: dict[str, Any]) -> dict[str, Any]:
    """Returns the batch unchanged: the split already collates whole batches."""
    return batch


def outlive_signals(worker: int) -> None:
    """Ignores termination signals in a worker.

    Ctrl-C and most schedulers signal the whole process group, but the parent still needs batches until the
    step at which it saves its state. It stops its workers afterwards; the alarm stops orphaned ones.
    """
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
        collate_fn=as_is,  # type: ignore[arg-type]  # ``Split.__getitems__`` returns a whole batch
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
        worker_init_fn=outlive_signals,
        generator=torch.Generator().manual_seed(seed_of(seed, "loader")),
    )


class Source(Protocol):
    """Raw samples, read one at a time.

    A source whose samples are in memory may also have ``gather(indices) -> (inputs, targets)``.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Any, Any]: ...

    def name(self, index: int) -> str:
        """Returns a readable name of the sample: a file's path, a row's number."""
        ...


class ArraySource:
    """Samples in memory, as two tensors.

    Args:
        inputs: ``(N, …)``.
        targets: ``(N,)`` class ids or ``(N, K)`` numbers.
        label: noun for a sample in messages: ``label 17``.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, label: str = "sample") -> None:
        if len(inputs) != len(targets):
            raise ValueError(f"{len(inputs)} inputs but {len(targets)} targets")
        self.inputs = inputs
        self.targets = targets
        self.label = label

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.inputs[index], self.targets[index]

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.inputs[indices], self.targets[indices]

    def name(self, index: int) -> str:
        return f"{self.label} {index}"


def collate(samples: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    """Stacks samples of equal shape into ``{"inputs": (N, …), "targets": (N, …)}``."""
    inputs, targets = zip(*samples, strict=True)
    return {"inputs": default_collate(list(inputs)), "targets": default_collate(list(targets))}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch's CPU generator within the context and restores its state afterwards.

    ``torch.manual_seed`` would also seed the accelerators' generators, and every step would use the same
    dropout mask.
    """
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


class Split(Dataset):
    """Batches of the samples ``indices`` of a source.

    A sample's augmentation draws from torch's generator, seeded by a hash of seed, epoch and index: it does
    not depend on the number of loader workers, the order of the samples, or interruptions of the run.

    Args:
        source: raw samples.
        indices: indices into the source, ``(n,)``.
        transform: ``(input, target) -> (input, target)``, or None.
        seed: seed of the augmentation.
        collate: turns a list of samples into a batch (a dict).
    """

    def __init__(
        self,
        source: Source,
        indices: Sequence[int] | Tensor,
        transform: Callable[[Any, Any], tuple[Any, Any]] | None = None,
        seed: int = 0,
        collate: Callable[[Sequence[tuple[Any, Any]]], dict[str, Any]] = collate,
    ) -> None:
        self.source = source
        self.indices = torch.as_tensor(indices, dtype=torch.long)
        self.transform = transform
        self.seed = seed
        self.collate = collate

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, index: int) -> str:
        """Returns the name of the sample with this index in the source."""
        return self.source.name(index)

    def batch_sampler(self, batch_size: int, **options: Any) -> EpochBatchSampler:
        """Returns the batch sampler of the split; see ``EpochBatchSampler`` for the options."""
        return EpochBatchSampler(len(self), batch_size, **options)

    def sample(self, epoch: int, position: int) -> tuple[Any, Any]:
        """Returns one sample with the augmentation of an epoch.

        Raises:
            BrokenSampleError: the sample cannot be read or transformed; the message names it.
        """
        index = int(self.indices[position])
        try:
            sample = self.source[index]
            if self.transform is None:
                return sample
            with seeded(seed_of(self.seed, epoch, index)):
                return self.transform(*sample)
        except (RunnerError, ControlSignal):
            raise
        except Exception as error:
            raise BrokenSampleError(
                f"{self.source.name(index)} cannot be read: {type(error).__name__}: {error}. "
                "`runner data verify` names all such files."
            ) from error

    def __getitem__(self, key: tuple[int, int] | int) -> tuple[Any, Any]:
        epoch, position = key if isinstance(key, tuple) else (0, key)
        return self.sample(epoch, position)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> dict[str, Any]:
        """Returns a whole batch; called by the loader."""
        index = self.indices[[position for _, position in keys]]
        if self.transform is None and hasattr(self.source, "gather"):
            inputs, targets = self.source.gather(index)
            batch = {"inputs": inputs, "targets": targets}
        else:
            batch = self.collate([self.sample(*key) for key in keys])
        batch["index"] = index
        if isinstance(keys, Share):
            batch["weight"] = keys.weight
        return batch
