"""The order in which samples are seen: a function of seed and epoch alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import torch

__all__ = ["EpochBatchSampler", "Share", "seed_of"]


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed that depends on every part and on nothing else (not on ``PYTHONHASHSEED``)."""
    text = "/".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


class Share(list):
    """The keys of a batch that fall to one rank.

    Attributes:
        weight: of this rank's mean over its samples, so that the mean over the ranks is the batch's.
    """

    weight: float = 1.0


class EpochBatchSampler:
    """Batches of keys ``(epoch, position)``; the epoch travels with the position into loader workers.

    With several ranks, a batch is that of all ranks together, and each gets a run of it: the samples, their order
    and the number of batches are those of one rank, none is left out, and none is seen twice. The runs of one batch
    differ in length by one sample at most; ``Share.weight`` makes up for it.

    A last batch of one sample a rank, or fewer, joins the batch before it: batch normalisation cannot work on one.

    Args:
        num_samples: length of the split.
        batch_size: samples a batch.
        seed: of the permutation; unused when not shuffling.
        shuffle: a new permutation each epoch, or the order of the split.
        drop_last: leave out a last batch that is not full.
        rank, world_size: which share of each batch to give.
        weights: when given, an epoch draws ``num_samples`` with replacement, each as often as its weight says.

    Attributes:
        epoch: set before an epoch begins.
        start_batch: batches of the epoch to pass over, once: where an interrupted epoch goes on.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
        weights: torch.Tensor | None = None,
    ):
        self.weights = weights
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.start_batch = 0

    @property
    def sampler(self) -> EpochBatchSampler:
        """Where Lightning looks for ``set_epoch``: at a batch sampler's sampler, never at itself."""
        return self

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        if self.drop_last:
            return self.num_samples // self.batch_size
        num_batches = math.ceil(self.num_samples / self.batch_size)
        return num_batches - 1 if self._joins_last() else num_batches

    def _joins_last(self) -> bool:
        return self.num_samples > self.batch_size and 0 < self.num_samples % self.batch_size < 2 * self.world_size

    def size_of(self, batch: int) -> int:
        """Samples of all ranks together in the batch with that number."""
        if batch < len(self) - 1 or self.drop_last:
            return self.batch_size
        return self.num_samples - (len(self) - 1) * self.batch_size

    def order(self, epoch: int) -> list[int]:
        """Positions in the order of that epoch."""
        if not self.shuffle:
            return list(range(self.num_samples))
        generator = torch.Generator().manual_seed(seed_of(self.seed, "order", epoch))
        if self.weights is not None:
            return torch.multinomial(self.weights, self.num_samples, True, generator=generator).tolist()
        return torch.randperm(self.num_samples, generator=generator).tolist()

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """The batches of ``epoch`` from ``start_batch`` on, as both are now and not when the first is asked for."""
        first, self.start_batch = self.start_batch, 0
        return self._batches(self.epoch, first)

    def _batches(self, epoch: int, first: int) -> Iterator[list[tuple[int, int]]]:
        order = self.order(epoch)
        last = len(self) - 1
        for batch in range(first, last + 1):
            begin = batch * self.batch_size
            end = begin + self.batch_size
            if batch == last and self._joins_last() and not self.drop_last:
                end = self.num_samples
            yield self.share([(epoch, position) for position in order[begin:end]])

    def some(self, most: int) -> list[list[tuple[int, int]]]:
        """Batches of epoch 0 with ``most`` samples in all, evenly spread over its order; all where there are fewer."""
        if most >= self.num_samples:
            return list(self._batches(0, 0))
        order = self.order(0)
        keys = [(0, order[place * len(order) // most]) for place in range(most)]
        return [keys[begin : begin + self.batch_size] for begin in range(0, most, self.batch_size)]

    def share(self, keys: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """This rank's run of a batch."""
        if self.world_size == 1:
            return keys
        first, behind = (len(keys) * rank // self.world_size for rank in (self.rank, self.rank + 1))
        share = Share(keys[first:behind])
        share.weight = len(share) * self.world_size / len(keys)
        return share
