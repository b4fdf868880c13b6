"""Mean and standard deviation of the columns of a series, and standardized values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runner.errors import DataError

__all__ = ["SeriesStandardize", "float32_loses_digits", "statistics"]

VALUES_PER_PIECE = 500_000
"""Number of values that the statistics read at a time."""

LARGEST_OFFSET = 1e4
"""Float32 has seven digits: of a mean this many deviations from zero, three are left for the differences."""


class SeriesStandardize(nn.Module):
    """``(inputs - mean) / std`` as float32, computed in float64: a large offset costs no digits.

    Args:
        mean, std: of each of the F columns. A std of 0 counts as 1.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        std = torch.as_tensor(std, dtype=torch.float64)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float64))
        self.register_buffer("std", torch.where(std == 0, 1.0, std))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SeriesStandardize:
        """Moves the statistics between devices and keeps them in float64; MPS has none, so there they stay on the CPU."""
        device = fn(torch.zeros(1)).device
        if device.type != "mps":
            self.mean, self.std = self.mean.to(device), self.std.to(device)
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.device.type == "mps":
            return ((inputs.cpu().double() - self.mean) / self.std).float().to(inputs.device)
        mean, std = self.mean.to(inputs.device), self.std.to(inputs.device)
        return ((inputs.double() - mean) / std).float()


def float32_loses_digits(mean: Any, std: Any) -> bool:
    """Whether values with such a mean have to be float64 to represent their differences."""
    mean, std = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
    return bool((np.abs(mean) > LARGEST_OFFSET * np.where(std == 0, np.inf, std)).any())


def statistics(
    values: np.ndarray, names: Sequence[str], missing_allowed: bool = False
) -> tuple[list[float], list[float]]:
    """Mean and deviation of each column in float64 without missing values; of a memory map piece by piece.

    Args:
        missing_allowed: a column without any value gets NaN.

    Raises:
        DataError: a column has no value at all.
    """
    count, total, square = (np.zeros(len(names)) for _ in range(3))
    shift = np.full(
        len(names), np.nan
    )  # the first value: sums of squares of large numbers would lose their digits
    rows = max(1, VALUES_PER_PIECE // len(names))
    for begin in range(0, len(values), rows):
        piece = np.asarray(values[begin : begin + rows], dtype=np.float64)
        known = ~np.isnan(piece)
        first = piece[known.argmax(0), np.arange(len(names))]
        shift = np.where(np.isnan(shift), first, shift)
        piece = piece - shift
        count += known.sum(0)
        total, square = total + np.nansum(piece, 0), square + np.nansum(piece**2, 0)
    empty = [name for name, number in zip(names, count, strict=True) if not number]
    if empty and not missing_allowed:
        raise DataError(
            f"no training step has a value in {', '.join(map(repr, empty))}. Leave such columns out."
        )
    with np.errstate(invalid="ignore"):
        mean = total / count
        std = np.sqrt(np.maximum(square / count - mean**2, 0))
    return (mean + shift).tolist(), std.tolist()
