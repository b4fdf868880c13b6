"""Batch sampling whose order depends only on seed and epoch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import torch

__all__ = ["EpochBatchSampler", "Share", "seed_of"]


def seed_of(*parts: int | str) -> int:
    """Returns a 63-bit seed that depends only on the parts (not on ``PYTHONHASHSEED``)."""
    text = "/".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


class Share(list):
    """One rank's share of the keys of a batch.

    Attributes:
        weight: factor for the mean over this rank's samples, so that the mean over the ranks equals the batch
            mean.
    """

    weight: float = 1.0


class EpochBatchSampler:
    """Batches of keys ``(epoch, position)``; the epoch travels with the position into loader workers.

    With several ranks, each rank gets a contiguous share of every global batch. Samples, order and number of
    batches are the same as with one rank; no sample is left out or repeated. The shares of a batch differ in
    length by at most one sample, for which ``Share.weight`` compensates.

    A last batch of at most one sample per rank is merged into the previous batch, because batch normalization
    needs more than one sample.

    Args:
        num_samples: length of the split.
        batch_size: samples per batch.
        seed: seed of the permutation; unused without shuffling.
        shuffle: draw a new permutation each epoch instead of keeping the order of the split.
        drop_last: drop the last batch if it is incomplete.
        rank: rank whose share of each batch is yielded.
        world_size: number of ranks.
        weights: if given, each epoch draws ``num_samples`` samples with replacement, with these weights.

    Attributes:
        epoch: set before an epoch begins.
        start_batch: number of batches to skip, once, when an interrupted epoch is resumed.
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
    ) -> None:
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
        """The object on which Lightning 2.6 calls ``set_epoch``: a batch sampler's ``sampler``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        if self.drop_last:
            return self.num_samples // self.batch_size
        num_batches = math.ceil(self.num_samples / self.batch_size)
        return num_batches - 1 if self._joins_last() else num_batches

    def _joins_last(self) -> bool:
        return (
            self.num_samples > self.batch_size
            and 0 < self.num_samples % self.batch_size < 2 * self.world_size
        )

    def size_of(self, batch: int) -> int:
        """Returns the number of samples in the batch with this number, over all ranks."""
        if batch < len(self) - 1 or self.drop_last:
            return self.batch_size
        return self.num_samples - (len(self) - 1) * self.batch_size

    def order(self, epoch: int) -> list[int]:
        """Returns the positions in the order of an epoch."""
        if not self.shuffle:
            return list(range(self.num_samples))
        generator = torch.Generator().manual_seed(seed_of(self.seed, "order", epoch))
        if self.weights is not None:
            return torch.multinomial(self.weights, self.num_samples, True, generator=generator).tolist()
        return torch.randperm(self.num_samples, generator=generator).tolist()

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Iterates over the batches of ``epoch`` from ``start_batch`` on.

        Both are read now, not at the first batch.
        """
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
        """Returns batches of epoch 0 with at most ``most`` samples in total, evenly spread over the epoch."""
        if most >= self.num_samples:
            return list(self._batches(0, 0))
        order = self.order(0)
        keys = [(0, order[number * len(order) // most]) for number in range(most)]
        return [keys[begin : begin + self.batch_size] for begin in range(0, most, self.batch_size)]

    def share(self, keys: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Returns this rank's share of a batch."""
        if self.world_size == 1:
            return keys
        begin, end = (len(keys) * rank // self.world_size for rank in (self.rank, self.rank + 1))
        share = Share(keys[begin:end])
        share.weight = len(share) * self.world_size / len(keys)
        return share
