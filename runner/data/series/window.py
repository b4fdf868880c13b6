"""Windows of series, and the standardization of their columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from runner.data.sampler import Share
from runner.data.split import Split
from runner.errors import DataError

__all__ = [
    "SeriesSplit",
    "SeriesStandardize",
    "WindowSource",
    "fill_from_past",
    "float32_loses_digits",
    "standardized",
    "statistics",
]

VALUES_PER_PIECE = 500_000
"""Number of values that the statistics read at a time."""

LARGEST_OFFSET = 1e4
"""Float32 has seven digits: of a mean this many deviations from zero, three are left for the differences."""


class SeriesStandardize(nn.Module):
    """``(inputs - mean) / std`` as float32, computed in float64: a large offset costs no digits.

    Args:
        mean, std: of each of the F columns. A std of 0 counts as 1.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        std = torch.as_tensor(std, dtype=torch.float64)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float64))
        self.register_buffer("std", torch.where(std == 0, 1.0, std))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SeriesStandardize:
        """Moves the statistics between devices and keeps them in float64; MPS has none, so there they stay on
        the CPU.
        """
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


class WindowSource:
    """Window ``i`` reads ``input_steps`` steps from row ``starts[i]`` on and forecasts the ``horizon_steps``
    after them.

    Only the windows of a batch are copied: the values may be a memory map larger than memory.

    Args:
        values: ``(T, F)``; NaN where a value is missing. Several series follow one another.
        target_columns: the K columns to forecast.
        mean: of each column, ``(F,)``, or of each series and column, ``(S, F)``. It also replaces a missing
            value without a known one before it in its window.
        times: name of each step; its row by default.
        first_row: of the values, in the file they are a part of.
        std: as ``mean``; a std of 0 counts as 1.
        starts: first row of each window, ``(W,)``; all possible windows by default.
        series: number of each window's series, ``(W,)``; 0 by default.
        series_names: shown before the name of a step.
    """

    def __init__(
        self,
        values: np.ndarray,
        input_steps: int,
        horizon_steps: int,
        target_columns: Sequence[int],
        mean: Any,
        times: Sequence[str] = (),
        first_row: int = 0,
        std: Any = None,
        starts: np.ndarray | None = None,
        series: np.ndarray | None = None,
        series_names: Sequence[str] = (),
    ) -> None:
        self.values = values
        self.input_steps = input_steps
        self.horizon_steps = horizon_steps
        self.target_columns = np.asarray(target_columns)
        self.mean = np.atleast_2d(np.asarray(mean, dtype=np.float64))
        std = np.ones_like(self.mean) if std is None else np.atleast_2d(np.asarray(std, dtype=np.float64))
        self.std = np.where(std == 0, 1.0, std)
        self.times = times
        self.first_row = first_row
        count = max(0, len(values) - input_steps - horizon_steps + 1)
        self.starts = np.arange(count) if starts is None else starts
        self.series = np.zeros(len(self.starts), dtype=np.int64) if series is None else series
        self.series_names = series_names

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Inputs ``(L, F)`` and targets ``(H, K)`` in the unit of the data."""
        inputs, targets = self.raw(torch.tensor([index]))
        window = torch.from_numpy(np.ascontiguousarray(inputs[0]))
        number = int(self.series[index])
        window.scale = (self.mean[number], self.std[number])  # what standardizes it, for ``batch_inputs``
        return window, torch.from_numpy(np.ascontiguousarray(targets[0]))

    def raw(self, indices: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Inputs ``(N, L, F)``, missing values filled from the past; targets ``(N, H, K)``, NaN where
        unknown.
        """
        chosen = indices.numpy()
        rows = self.starts[chosen][:, None] + np.arange(self.input_steps + self.horizon_steps)
        windows = self.values[rows]
        if windows.dtype.kind != "f" or windows.dtype.itemsize < 4:
            windows = windows.astype(np.float64)
        mean = self.mean[self.series[chosen]][:, None]
        inputs = fill_from_past(windows[:, : self.input_steps], mean)
        return inputs, windows[:, self.input_steps :][..., self.target_columns]

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """As ``raw``, standardized in float64 before the conversion to float32."""
        return self.standardize(*self.raw(indices), indices)

    def standardize(self, inputs: np.ndarray, targets: np.ndarray, indices: Tensor) -> tuple[Tensor, Tensor]:
        series, columns = self.series[indices.numpy()], self.target_columns
        mean, std = self.mean[series][:, None], self.std[series][:, None]
        return standardized(inputs, mean, std), standardized(targets, mean[..., columns], std[..., columns])

    def name(self, index: int) -> str:
        """Returns the name of the first forecast step."""
        row = int(self.starts[index]) + self.input_steps
        step = str(self.times[row]) if len(self.times) else f"row {self.first_row + row + 1}"
        return f"{self.series_names[self.series[index]]}, {step}" if self.series_names else step


class SeriesSplit(Split):
    """Batches of standardized windows, with the targets also in the unit of the data and the number of the
    series.
    """

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> dict[str, Any]:
        index = self.indices[[position for _, position in keys]]
        inputs, targets = self.source.raw(index)
        scaled, wanted = self.source.standardize(inputs, targets, index)
        in_unit = torch.from_numpy(np.ascontiguousarray(targets.astype(np.float32)))
        batch = {"inputs": scaled, "targets": in_unit, "standardized": wanted, "index": index}
        if self.source.series_names:
            batch["series"] = torch.from_numpy(self.source.series[index.numpy()])
        if isinstance(keys, Share):
            batch["weight"] = keys.weight
        return batch

    def raw_inputs(self, positions: Sequence[int]) -> Tensor:
        """Inputs ``(N, L, F)`` in the unit of the data."""
        return torch.from_numpy(np.ascontiguousarray(self.source.raw(self.indices[list(positions)])[0]))


def standardized(values: np.ndarray, mean: np.ndarray, std: np.ndarray) -> Tensor:
    """``(values - mean) / std`` in float64, then float32."""
    scaled = (np.asarray(values, dtype=np.float64) - mean) / std
    return torch.from_numpy(np.ascontiguousarray(scaled.astype(np.float32)))


def fill_from_past(windows: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """Each missing value of ``(N, L, F)`` becomes the last known one before it in its window, or ``fill``
    ``(F,)``.
    """
    missing = np.isnan(windows)
    if not missing.any():
        return windows
    steps = np.arange(windows.shape[1])[None, :, None]
    known = np.maximum.accumulate(np.where(missing, -1, steps), axis=1)
    filled = np.take_along_axis(windows, np.maximum(known, 0), axis=1)
    return np.where(known < 0, fill, filled)
