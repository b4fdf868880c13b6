"""Assignment of pairs of image and mask to splits."""

from __future__ import annotations

import torch
from torch import Tensor

from runner.data.base import split_indices
from runner.data.segmentation.layout import Pair

__all__ = ["cut_pairs"]

FRACTION = 0.15


def cut_pairs(
    pairs: dict[str, list[Pair]], val_fraction: float | None, test_fraction: float | None, seed: int
) -> tuple[list[Pair], dict[str, Tensor]]:
    """Returns all pairs and the indices of each split: existing split folders, and random splits for the rest.

    Args:
        pairs: pairs of each split folder; ``all`` without split folders.
        val_fraction: fraction of all pairs, or of train if there is no val folder; 0.15 when None.
        test_fraction: fraction of all pairs, 0.15 when None. Ignored with split folders.
    """
    flat: list[Pair] = []
    splits: dict[str, Tensor] = {}
    for split, own in pairs.items():
        splits[split] = torch.arange(len(flat), len(flat) + len(own))
        flat += own
    val_fraction = FRACTION if val_fraction is None else val_fraction
    if "all" in splits:
        rest = FRACTION if test_fraction is None else test_fraction
        splits = dict(
            zip(("train", "val", "test"), split_indices(len(flat), val_fraction, rest, seed), strict=True)
        )
    elif "val" not in splits:
        whole = splits["train"]
        train, val, _ = split_indices(len(whole), val_fraction, seed=seed)
        splits |= {"train": whole[train], "val": whole[val]}
    return flat, {split: splits[split] for split in ("train", "val", "test") if len(splits.get(split, ()))}
