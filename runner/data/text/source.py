"""Sequences of token ids in memory, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from runner.data.sampler import EpochBatchSampler, seed_of
from runner.data.split import Split
from runner.data.text.tokenizer import PAD

__all__ = ["IGNORE", "BucketSampler", "SequenceSplit", "TokenSource", "pad_tokens"]

IGNORE = -100
"""Target of steps without a label; the default of ``torch.nn.CrossEntropyLoss``."""
POOL = 50
"""Number of batches whose sequences are sorted by length together."""


class TokenSource:
    """Sequences of different lengths, concatenated in one array.

    Args:
        sequences: token ids of each sequence.
        targets: class ids ``(N,)``, or a list with the class ids of each sequence's steps.
        label: noun for a sample in messages.
    """

    def __init__(self, sequences: Sequence[Sequence[int]], targets: Any, label: str = "text") -> None:
        self.ends = np.cumsum([0, *map(len, sequences)])
        self.ids = np.fromiter(
            (token for ids in sequences for token in ids), dtype=np.int32, count=self.ends[-1]
        )
        self.per_step = len(targets) > 0 and not isinstance(targets, Tensor)
        self.targets = targets
        if self.per_step:
            self.targets = np.fromiter(
                (t for steps in targets for t in steps), dtype=np.int64, count=self.ends[-1]
            )
        self.label = label

    def __len__(self) -> int:
        return len(self.ends) - 1

    @property
    def lengths(self) -> np.ndarray:
        """The numbers of tokens, ``(N,)``."""
        return np.diff(self.ends)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        span = slice(self.ends[index], self.ends[index + 1])
        ids = torch.from_numpy(self.ids[span].astype(np.int64))
        return ids, torch.from_numpy(self.targets[span]) if self.per_step else self.targets[index]

    def name(self, index: int) -> str:
        return f"{self.label} {index + 1}"


def pad_tokens(samples: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Collate ``inputs`` ``(N, T)``, padded with 0; ``targets`` ``(N,)``, or ``(N, T)`` padded with -100."""
    inputs, targets = zip(*samples, strict=True)
    if targets[0].dim():
        padded = pad_sequence(list(targets), batch_first=True, padding_value=IGNORE)
    else:
        padded = torch.stack(list(targets))
    return {"inputs": pad_sequence(list(inputs), batch_first=True, padding_value=PAD), "targets": padded}


class BucketSampler(EpochBatchSampler):
    """Samples batches of sequences of similar length, so that little padding is needed.

    The permutation of an epoch is divided into pools of batches, each pool is sorted by length, and the
    batches are shuffled. All of this depends only on seed and epoch, so an interrupted epoch resumes exactly.

    Args:
        lengths: number of tokens of each sample of the split.
        *args: positional arguments of ``EpochBatchSampler``.
        **options: other arguments of ``EpochBatchSampler``.
    """

    def __init__(self, lengths: np.ndarray, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.lengths = lengths

    def order(self, epoch: int) -> list[int]:
        order = super().order(epoch)
        if not self.shuffle:
            return order
        pool, size = POOL * self.batch_size, self.batch_size
        pools = [order[begin : begin + pool] for begin in range(0, len(order), pool)]
        ordered = [position for part in pools for position in sorted(part, key=self.lengths.__getitem__)]
        whole = len(ordered) // size
        generator = torch.Generator().manual_seed(seed_of(self.seed, "batches", epoch))
        batches = torch.randperm(whole, generator=generator).tolist()
        shuffled = [position for batch in batches for position in ordered[batch * size : (batch + 1) * size]]
        return shuffled + ordered[whole * size :]


class SequenceSplit(Split):
    """A split of a source of sequences; training batches hold sequences of similar length."""

    source: TokenSource | Any  # or another source with ``lengths``

    def __init__(self, source: Any, indices: Any, seed: int = 0, collate: Any = pad_tokens) -> None:
        super().__init__(source, indices, None, seed, collate)

    @property
    def lengths(self) -> np.ndarray:
        """The numbers of tokens of the split's samples, ``(n,)``."""
        return self.source.lengths[self.indices.numpy()]

    def batch_sampler(self, batch_size: int, **options: Any) -> EpochBatchSampler:
        return BucketSampler(self.lengths, len(self), batch_size, **options)
