"""Texts without repetition across splits: generated samples and duplicates in files."""

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
"""Repeated draws in a row, after which no other sample is expected."""


def draw_distinct(
    draw: Callable[[int], T], num_samples: int, key: Callable[[T], Hashable], title: str, hint: str
) -> list[T]:
    """``num_samples`` samples with different keys.

    Draws all samples once and then draws repetitions again, so that all other samples stay what the seed
    alone gives.

    Args:
        draw: of a position, a sample; each call draws another one.
        hint: what to change if there are too few different samples.

    Raises:
        DataError: there are too few different samples.
    """
    samples = [draw(position) for position in range(num_samples)]
    seen: set[Hashable] = set()
    repeated = []
    for position, sample in enumerate(samples):
        (repeated.append(position) if key(sample) in seen else seen.add(key(sample)))
    for position in repeated:
        for _ in range(NUM_TRIES):
            sample = draw(position)
            if key(sample) not in seen:
                break
        else:
            raise DataError(
                f"{title}: only {len(seen)} different samples were found, {num_samples} are needed so that "
                "no split "
                f"contains samples of another. {hint}"
            )
        seen.add(key(sample))
        samples[position] = sample
    return samples


Duplicates = Literal["together", "keep", "drop"]


def first_copies(texts: Sequence[str], lowercase: bool) -> Tensor:
    """The index of the first text that is identical to each, ``(N,)``. White space counts as one blank, and
    capitals as small letters where the tokenizer reads them so.
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
    """Cuts the samples ``pool`` at random into train, val and test, identical ones into the same split.

    Args:
        copies: as ``first_copies`` returns them.
        pool: sorted indices, ``(n,)``.
        val_fraction, test_fraction: of the different samples.
        labels: ``(N,)`` class ids: each class is cut in the same proportion, with at least one sample in each
            split.
    """
    different, group = np.unique(copies[pool].numpy(), return_inverse=True)
    classes = None if labels is None else labels[torch.from_numpy(different)]
    parts = split_indices(
        len(different), val_fraction, test_fraction, seed, classes, at_least_one=labels is not None
    )
    return tuple(pool[torch.from_numpy(np.isin(group, part.numpy()))] for part in parts)


def num_shared(copies: Tensor, parts: Mapping[str, Tensor]) -> dict[str, int]:
    """How many held-out samples are identical to one of an earlier split, by split: ``val`` against train,
    ``test`` against train and val.
    """
    shared, seen = {}, copies[parts["train"]]
    for name in ("val", "test"):
        if name in parts:
            shared[name] = int(torch.isin(copies[parts[name]], seen).sum())
            seen = torch.cat([seen, copies[parts[name]]])
    return shared
