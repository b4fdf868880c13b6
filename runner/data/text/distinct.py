"""Splits without shared samples: distinct generated samples, and duplicates in files."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from runner.data.base import split_indices
from runner.errors import DataError

__all__ = ["Duplicates", "cut_together", "draw_distinct", "first_copies", "num_shared"]

T = TypeVar("T")

NUM_TRIES = 2000
"""Maximum number of repeated draws in a row, after which no new sample is expected."""


def draw_distinct(
    draw: Callable[[int], T], num_samples: int, key: Callable[[T], Hashable], title: str, hint: str
) -> list[T]:
    """Draw samples with different keys.

    All samples are drawn once, then those that repeat an earlier one are replaced, so that all other samples
    depend on the seed only.

    Args:
        draw: draws a sample for a position; each call draws another one.
        num_samples: number of samples.
        key: the property in which samples must differ.
        title: name of the data set, for the message.
        hint: advice if there are too few different samples.

    Raises:
        DataError: there are too few different samples.
    """
    samples = [draw(position) for position in range(num_samples)]
    seen: set[Hashable] = set()
    repeated = []
    for position, sample in enumerate(samples):
        if key(sample) in seen:
            repeated.append(position)
        seen.add(key(sample))
    for position in repeated:
        for _ in range(NUM_TRIES):
            sample = draw(position)
            if key(sample) not in seen:
                break
        else:
            raise DataError(
                f"{title}: only {len(seen)} different samples were found, {num_samples} are needed so that "
                f"no split contains samples of another. {hint}"
            )
        seen.add(key(sample))
        samples[position] = sample
    return samples


Duplicates = Literal["together", "keep", "drop"]


def first_copies(texts: Sequence[str], lowercase: bool) -> Tensor:
    """Return for each text the index of the first identical one, ``(N,)``.

    Runs of white space are equal, and so are upper and lower case with ``lowercase``.
    """
    first: dict[str, int] = {}
    keys = (" ".join((text.lower() if lowercase else text).split()) for text in texts)
    return torch.tensor([first.setdefault(key, index) for index, key in enumerate(keys)], dtype=torch.long)


def cut_together(
    copies: Tensor,
    pool: Tensor,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    labels: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Split samples at random into train, val and test; identical samples are in the same split.

    Args:
        copies: index of the first identical sample of each, from ``first_copies``.
        pool: sorted indices of the samples to split, ``(n,)``.
        val_fraction: fraction of the different samples.
        test_fraction: fraction of the different samples.
        seed: seed of the split.
        labels: ``(N,)`` class ids for a stratified split with at least one sample of each class in each
            split.
    """
    different, group = np.unique(copies[pool].numpy(), return_inverse=True)
    classes = None if labels is None else labels[torch.from_numpy(different)]
    parts = split_indices(
        len(different), val_fraction, test_fraction, seed, classes, at_least_one=labels is not None
    )
    train, val, test = (pool[torch.from_numpy(np.isin(group, part.numpy()))] for part in parts)
    return train, val, test


def num_shared(copies: Tensor, parts: Mapping[str, Tensor]) -> dict[str, int]:
    """Return for ``val`` and ``test`` the number of samples that are identical to one of an earlier split."""
    shared, seen = {}, copies[parts["train"]]
    for name in ("val", "test"):
        if name in parts:
            shared[name] = int(torch.isin(copies[parts[name]], seen).sum())
            seen = torch.cat([seen, copies[parts[name]]])
    return shared
