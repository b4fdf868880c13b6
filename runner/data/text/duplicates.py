"""Texts that occur more than once: kept in one split, or left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from runner.data.base import split_indices

__all__ = ["Duplicates", "cut_together", "first_copies", "num_shared"]

Duplicates = Literal["together", "keep", "drop"]


def first_copies(texts: Sequence[str], lowercase: bool) -> Tensor:
    """The index of the first text that is identical to each, ``(N,)``. White space counts as one blank, and capitals as
    small letters where the tokenizer reads them so."""
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
        labels: ``(N,)`` class ids: each class is cut in the same proportion, with at least one sample in each split.
    """
    different, group = np.unique(copies[pool].numpy(), return_inverse=True)
    classes = None if labels is None else labels[torch.from_numpy(different)]
    parts = split_indices(
        len(different), val_fraction, test_fraction, seed, classes, at_least_one=labels is not None
    )
    return tuple(pool[torch.from_numpy(np.isin(group, part.numpy()))] for part in parts)


def num_shared(copies: Tensor, parts: Mapping[str, Tensor]) -> dict[str, int]:
    """How many held-out samples are identical to one of an earlier split, by split: ``val`` against train, ``test``
    against train and val."""
    shared, seen = {}, copies[parts["train"]]
    for name in ("val", "test"):
        if name in parts:
            shared[name] = int(torch.isin(copies[parts[name]], seen).sum())
            seen = torch.cat([seen, copies[parts[name]]])
    return shared
