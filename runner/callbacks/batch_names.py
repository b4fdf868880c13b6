"""What a person calls the samples of a batch, and which of them are no numbers themselves."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

__all__ = ["describe_batch", "some"]

NUM_NAMES = 8


def describe_batch(trainer: pl.Trainer, batch: Any) -> str:
    """One sentence with a blank before it; empty when nothing is known."""
    names = sample_names(trainer, batch)
    broken = [name for name, bad in zip(names, non_finite_inputs(batch), strict=False) if bad]
    if broken:
        return f" The inputs of {some(broken)} hold NaN or infinity."
    return f" The batch: {some(names)}." if names else ""


def sample_names(trainer: pl.Trainer, batch: Any) -> list[str]:
    index = batch.get("index") if isinstance(batch, dict) else None
    name = getattr(trainer.datamodule, "sample_name", None)
    if index is None or name is None:
        return []
    return [name("train", i) if i >= 0 else "an unnamed sample" for i in torch.as_tensor(index).tolist()]


def non_finite_inputs(batch: Any) -> list[bool]:
    """One flag a sample."""
    inputs = batch.get("inputs", ()) if isinstance(batch, dict) else ()
    return [not bool(torch.isfinite(one).all()) for one in inputs if isinstance(one, Tensor)]


def some(names: list[str]) -> str:
    rest = len(names) - NUM_NAMES
    return ", ".join(names[:NUM_NAMES]) + (f" and {rest} more" if rest > 0 else "")
