"""Losses that are means over tokens, when the tokens of a batch are dealt out to several ranks."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from runner.ranks.exchange import num_ranks, sum_over_ranks

__all__ = ["weigh_by_tokens"]


def weigh_by_tokens(batch: dict[str, Any], targets: Tensor, ignore_index: int) -> None:
    """Sets the weight of a rank's loss to its part of the batch's tokens, for its samples may be longer than others'."""
    if num_ranks() > 1:
        own = int((targets != ignore_index).sum())
        (whole,) = sum_over_ranks(own)
        batch["weight"] = own * num_ranks() / max(whole, 1)
