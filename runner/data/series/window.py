"""Windows of series: the steps that are read, and the steps after them that are forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runner.data.sampler import Share
from runner.data.split import Split

__all__ = ["SeriesSplit", "WindowSource", "fill_from_past", "standardized"]


class WindowSource:
    """Window ``i`` reads ``input_steps`` steps from row ``starts[i]`` on and forecasts the ``horizon_steps`` after them.

    Only the windows of a batch are copied: the values may be a memory map larger than memory.

    Args:
        values: ``(T, F)``; NaN where a value is missing. Several series follow one another.
        target_columns: the K columns to forecast.
        mean: of each column, ``(F,)``, or of each series and column, ``(S, F)``. It also replaces a missing value without
            a known one before it in its window.
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
    ):
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
        """Inputs ``(N, L, F)``, missing values filled from the past; targets ``(N, H, K)``, NaN where unknown."""
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
    """Batches of standardized windows, with the targets also in the unit of the data and the number of the series."""

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
    """Each missing value of ``(N, L, F)`` becomes the last known one before it in its window, or ``fill`` ``(F,)``."""
    missing = np.isnan(windows)
    if not missing.any():
        return windows
    steps = np.arange(windows.shape[1])[None, :, None]
    known = np.maximum.accumulate(np.where(missing, -1, steps), axis=1)
    filled = np.take_along_axis(windows, np.maximum(known, 0), axis=1)
    return np.where(known < 0, fill, filled)
