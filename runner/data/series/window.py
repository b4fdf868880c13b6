"""Windows of a series: the steps that are read, and those behind them that are to be forecast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = ["WindowSource", "fill_from_past"]


class WindowSource:
    """Window ``i`` reads steps ``i … i + input_steps - 1`` and forecasts the ``horizon_steps`` behind them.

    Nothing is copied but the windows of a batch: the series may be a memory map larger than memory.

    Args:
        values: ``(T, F)``; NaN where a value is missing.
        target_columns: the K columns to forecast.
        fill: what stands for a missing value that has none before it in its window, ``(F,)``.
        times: name of each step; its row without.
        first_row: of the values, in the file they are a part of.
    """

    def __init__(
        self,
        values: np.ndarray,
        input_steps: int,
        horizon_steps: int,
        target_columns: Sequence[int],
        fill: Sequence[float],
        times: Sequence[str] = (),
        first_row: int = 0,
    ):
        self.values = values
        self.input_steps = input_steps
        self.horizon_steps = horizon_steps
        self.target_columns = np.asarray(target_columns)
        self.fill = np.asarray(fill, dtype=np.float32)
        self.times = times
        self.first_row = first_row

    def __len__(self) -> int:
        return max(0, len(self.values) - self.input_steps - self.horizon_steps + 1)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        inputs, targets = self.gather(torch.tensor([index]))
        return inputs[0], targets[0]

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs ``(N, L, F)``, gaps filled from the past; targets ``(N, H, K)``, NaN where nothing is known."""
        rows = indices.numpy()[:, None] + np.arange(self.input_steps + self.horizon_steps)
        windows = self.values[rows].astype(np.float32, copy=False)
        inputs = fill_from_past(windows[:, : self.input_steps], self.fill)
        targets = windows[:, self.input_steps :][..., self.target_columns]
        return torch.from_numpy(np.ascontiguousarray(inputs)), torch.from_numpy(np.ascontiguousarray(targets))

    def name(self, index: int) -> str:
        """The first step that is forecast."""
        row = index + self.input_steps
        return str(self.times[row]) if len(self.times) else f"row {self.first_row + row + 1}"


def fill_from_past(windows: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """Each missing value of ``(N, L, F)`` is the last known one before it in its window, or ``fill`` ``(F,)``."""
    missing = np.isnan(windows)
    if not missing.any():
        return windows
    steps = np.arange(windows.shape[1])[None, :, None]
    known = np.maximum.accumulate(np.where(missing, -1, steps), axis=1)
    filled = np.take_along_axis(windows, np.maximum(known, 0), axis=1)
    return np.where(known < 0, fill, filled)
