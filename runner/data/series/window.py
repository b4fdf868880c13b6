"""Windows of series and the standardization of their columns."""

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
    "scale_of",
    "standardized",
    "statistics",
    "with_scale",
]

VALUES_PER_PIECE = 500_000
"""Number of values read at a time to compute statistics."""

LARGEST_OFFSET = 1e4
"""Maximum ratio of mean and deviation for float32: of its seven digits, three are left for differences."""


class SeriesStandardize(nn.Module):
    """Computes ``(inputs - mean) / std`` in float64 and returns float32: a large offset costs no digits.

    Args:
        mean, std: statistics of the F columns. A std of 0 counts as 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        deviations = torch.as_tensor(std, dtype=torch.float64)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float64))
        self.register_buffer("std", torch.where(deviations == 0, 1.0, deviations))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SeriesStandardize:
        """Moves the statistics between devices in float64; without float64 (MPS) they stay on the CPU."""
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
    """Return whether values with such a mean have to be float64 to represent their differences."""
    mean, std = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
    return bool((np.abs(mean) > LARGEST_OFFSET * np.where(std == 0, np.inf, std)).any())


def statistics(
    values: np.ndarray, names: Sequence[str], missing_allowed: bool = False
) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each column in float64, ignoring missing values.

    Args:
        values: ``(T, F)``; a memory map is read in pieces.
        names: names of the F columns, for messages.
        missing_allowed: return NaN for a column without any value.

    Raises:
        DataError: a column has no value at all.
    """
    count, total, square = (np.zeros(len(names)) for _ in range(3))
    # values relative to the first one: sums of squares of large numbers would lose their digits
    shift = np.full(len(names), np.nan)
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
    """Windows of input steps, and the steps after them to forecast.

    Window ``i`` consists of ``input_steps`` steps from row ``starts[i]`` on and ``horizon_steps`` targets.
    Only the windows of a batch are copied: the values may be a memory map larger than memory.

    Args:
        values: ``(T, F)``; NaN where a value is missing. Several series follow one another.
        input_steps: L, the number of input steps.
        horizon_steps: H, the number of steps to forecast.
        target_columns: the K columns to forecast.
        mean: mean of each column, ``(F,)``, or of each series and column, ``(S, F)``. It also replaces a
            missing value without a known one before it in its window.
        times: name of each step; its row by default.
        first_row: row of the first value in the file.
        std: standard deviations, shaped like ``mean``; a std of 0 counts as 1.
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
        """Return inputs ``(L, F)`` and targets ``(H, K)`` in the unit of the data."""
        inputs, targets = self.raw(torch.tensor([index]))
        window = torch.from_numpy(np.ascontiguousarray(inputs[0]))
        number = int(self.series[index])
        window = with_scale(window, (self.mean[number], self.std[number]))
        return window, torch.from_numpy(np.ascontiguousarray(targets[0]))

    def raw(self, indices: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return windows in the unit of the data.

        Returns:
            Inputs ``(N, L, F)``, missing values filled from the past; targets ``(N, H, K)``, NaN where
            unknown.
        """
        positions = indices.numpy()
        rows = self.starts[positions][:, None] + np.arange(self.input_steps + self.horizon_steps)
        windows = self.values[rows]
        if windows.dtype.kind != "f" or windows.dtype.itemsize < 4:
            windows = windows.astype(np.float64)
        mean = self.mean[self.series[positions]][:, None]
        inputs = fill_from_past(windows[:, : self.input_steps], mean)
        return inputs, windows[:, self.input_steps :][..., self.target_columns]

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the windows of ``raw``, standardized in float64 and converted to float32."""
        return self.standardize(*self.raw(indices), indices)

    def standardize(self, inputs: np.ndarray, targets: np.ndarray, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Standardize inputs and targets by the statistics of their series."""
        series, columns = self.series[indices.numpy()], self.target_columns
        mean, std = self.mean[series][:, None], self.std[series][:, None]
        return standardized(inputs, mean, std), standardized(targets, mean[..., columns], std[..., columns])

    def name(self, index: int) -> str:
        """Return the name of the first forecast step."""
        row = int(self.starts[index]) + self.input_steps
        step = str(self.times[row]) if len(self.times) else f"row {self.first_row + row + 1}"
        return f"{self.series_names[self.series[index]]}, {step}" if self.series_names else step


class SeriesSplit(Split):
    """Batches of standardized windows.

    They also contain the targets in the unit of the data and the numbers of the series.
    """

    source: WindowSource

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> dict[str, Any]:
        index = self.indices[[position for _, position in keys]]
        inputs, targets = self.source.raw(index)
        scaled, wanted = self.source.standardize(inputs, targets, index)
        in_unit = torch.from_numpy(np.ascontiguousarray(targets.astype(np.float32)))
        batch: dict[str, Any] = {"inputs": scaled, "targets": in_unit, "standardized": wanted, "index": index}
        if self.source.series_names:
            batch["series"] = torch.from_numpy(self.source.series[index.numpy()])
        if isinstance(keys, Share):
            batch["weight"] = keys.weight
        return batch

    def raw_inputs(self, positions: Sequence[int]) -> Tensor:
        """Return inputs ``(N, L, F)`` in the unit of the data."""
        return torch.from_numpy(np.ascontiguousarray(self.source.raw(self.indices[list(positions)])[0]))


def with_scale(window: Tensor, scale: tuple[np.ndarray, np.ndarray]) -> Tensor:
    """Attach the mean and standard deviation that standardize a window, for ``batch_inputs``."""
    window.scale = scale  # type: ignore[attr-defined]  # tensors accept attributes
    return window


def scale_of(window: Tensor) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the mean and standard deviation attached by ``with_scale``; None if there are none."""
    return getattr(window, "scale", None)


def standardized(values: np.ndarray, mean: np.ndarray, std: np.ndarray) -> Tensor:
    """Compute ``(values - mean) / std`` in float64 and convert it to float32."""
    scaled = (np.asarray(values, dtype=np.float64) - mean) / std
    return torch.from_numpy(np.ascontiguousarray(scaled.astype(np.float32)))


def fill_from_past(windows: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """Replace missing values by the last known value before them in the window.

    Args:
        windows: ``(N, L, F)``.
        fill: ``(F,)``, for missing values without a known value before them.
    """
    missing = np.isnan(windows)
    if not missing.any():
        return windows
    steps = np.arange(windows.shape[1])[None, :, None]
    known = np.maximum.accumulate(np.where(missing, -1, steps), axis=1)
    filled = np.take_along_axis(windows, np.maximum(known, 0), axis=1)
    return np.where(known < 0, fill, filled)
