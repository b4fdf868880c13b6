"""Splits that a column of the data names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from runner.data.class_folders import split_of_folder
from runner.errors import DataError

__all__ = ["indices_of_parts", "parts_of_column"]

MAX_NAMED = 5


def parts_of_column(values: Sequence[object], column: str, where: str) -> list[str]:
    """Return the split of each row: ``train``, ``val`` or ``test``.

    Args:
        values: the cells of the column: ``train``, ``validation``, ``dev``, ``test`` and the other names of
            split folders in ``runner.data.class_folders``.
        column: name of the column, for messages.
        where: the file, for messages.

    Raises:
        DataError: a cell names no split, or no row is in the training split.
    """
    names = {value: split_of_folder(str(value)) for value in dict.fromkeys(values)}
    unknown = [str(value) for value, split in names.items() if split is None]
    if unknown:
        more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
        raise DataError(
            f"data.split_column={column}: {where} holds {', '.join(map(repr, unknown[:MAX_NAMED]))}{more}, "
            "expected names of splits such as train, val and test."
        )
    parts = [names[value] or "" for value in values]
    if "train" not in parts:
        raise DataError(f"data.split_column={column}: no row of {where} is in the training split.")
    return parts


def indices_of_parts(parts: Sequence[str]) -> dict[str, Tensor]:
    """Return the sorted indices of the rows of each split that occurs."""
    array = np.asarray(parts)
    return {
        split: torch.from_numpy(np.flatnonzero(array == split))
        for split in ("train", "val", "test")
        if split in parts
    }
