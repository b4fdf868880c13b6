"""Reads the samples of a split as arrays, without augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from runner.data.base import DataModule
from runner.data.split import Split

__all__ = ["Samples", "batches", "positions", "read_arrays", "read_tokens"]

READ_AT_ONCE = 64


@dataclass
class Samples:
    """Samples of one split.

    Attributes:
        inputs: ``(N, …)``, or a list of N sequences.
        targets: ``(N,)`` class ids or ``(N, K)`` numbers; for sequences of labels a list of N arrays.
        num_all: number of samples of the split, of which N were read.
    """

    inputs: Any
    targets: Any
    num_all: int

    def __len__(self) -> int:
        return len(self.targets)


def positions(split: Split, most: int) -> np.ndarray:
    """Return up to ``most`` positions in a split, drawn with a fixed seed, in ascending order."""
    if len(split) <= most:
        return np.arange(len(split))
    return np.sort(np.random.default_rng(0).choice(len(split), most, replace=False))


def read_arrays(data: DataModule, name: str, most: int) -> Samples:
    """Read samples of equal shape as the model gets them in evaluation, before normalization.

    Args:
        data: a data module after ``setup``.
        name: the split.
        most: read at most this many samples.
    """
    split = copy(data.splits[name])
    split.transform = data.splits["val"].transform
    inputs, targets = [], []
    for batch in batches(split, positions(split, most)):
        inputs.append(batch["inputs"].numpy())
        targets.append(batch["targets"].numpy())
    return Samples(np.concatenate(inputs), np.concatenate(targets), len(split))


def batches(split: Split, chosen: np.ndarray) -> Iterator[dict[str, torch.Tensor]]:
    """Yield batches of the samples at these positions, with the randomness of epoch 0."""
    for start in range(0, len(chosen), READ_AT_ONCE):
        keys = [(0, int(position)) for position in chosen[start : start + READ_AT_ONCE]]
        yield split.__getitems__(keys)


def read_tokens(data: DataModule, name: str, most: int) -> Samples:
    """Read sequences of token ids, with one target each or one per step."""
    split = data.splits[name]
    samples = [split.source[int(split.indices[position])] for position in positions(split, most)]
    inputs = [ids.numpy() for ids, _ in samples]
    targets = [target.numpy() for _, target in samples]
    return Samples(inputs, targets if targets and targets[0].ndim else np.asarray(targets), len(split))
