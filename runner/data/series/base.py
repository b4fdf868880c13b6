"""The base of every data module of a series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from runner.data.base import DataModule
from runner.data.facts import Facts
from runner.data.nearest import did_you_mean
from runner.data.series.file import Series, SeriesFile
from runner.data.series.window import WindowSource, fill_from_past
from runner.data.split import Split
from runner.data.standardize import Standardize
from runner.errors import DataError

__all__ = ["SeriesDataModule"]

VALUES_A_PIECE = 500_000
"""So many at a time are read for the statistics."""


class SeriesDataModule(DataModule):
    """Windows of one series, cut in the order of time: training first, then validation, then test.

    What a split forecasts lies wholly within it; what it reads may lie before. Scales are learnt from the training
    steps alone. A missing value that is read is filled from the past of its window; one to be forecast counts in
    neither loss nor metrics.

    Args:
        input_steps: L, what is read.
        horizon_steps: H, what is forecast behind it.
        target: names of the K columns to forecast; all when None.
        season_steps: after so many steps the series looks much the same: a day of hours, a year of months. The
            seasonal-naive forecast repeats the last season. None repeats the last value.
        val_fraction, test_fraction: of the steps, at the end.
        rows: steps of train, val and test instead of the fractions; what lies behind them is left out.
    """

    extra_facts = (
        "num_features", "vocab_size", "per_step", "input_steps", "horizon_steps", "season_steps",
        "feature_names", "target_names", "target_columns", "target_mean", "target_std",
    )  # fmt: skip

    def __init__(
        self,
        input_steps: Annotated[int, Ge(1)] = 96,
        horizon_steps: Annotated[int, Ge(1)] = 24,
        target: str | list[str] | None = None,
        season_steps: Annotated[int, Ge(1)] | None = None,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.2,
        test_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.2,
        rows: list[Annotated[int, Gt(0)]] | None = None,
        batch_size: Annotated[int, Gt(0)] = 32,
        eval_batch_size: Annotated[int, Gt(0)] | None = None,
        num_workers: Annotated[int, Ge(0)] = 0,
        seed: Annotated[int, Ge(0)] = 0,
        drop_last: bool = False,
    ):
        super().__init__(batch_size, eval_batch_size, num_workers, seed, drop_last)
        if rows is not None and len(rows) != 3:
            raise DataError(f"rows={rows} names {len(rows)} numbers of steps; expected three: train, val and test.")
        if season_steps is not None and season_steps > input_steps:
            raise DataError(
                f"season_steps={season_steps} is longer than input_steps={input_steps}: the last season has to be "
                "among what is read. Raise input_steps, or set season_steps=null."
            )
        self.input_steps = input_steps
        self.horizon_steps = horizon_steps
        self.target = [target] if isinstance(target, str) else list(target or [])
        self.season_steps = season_steps
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.rows = rows
        self.names: list[str] = []
        self.mean: list[float] = []
        self.std: list[float] = []

    # What a subclass gives

    def read(self) -> Series:
        """
        Raises:
            DataError: there is no such series, or it is not as expected.
        """
        raise TypeError(f"{type(self).__name__} must define read()")

    def source_name(self) -> str:
        return ""

    @property
    def title(self) -> str:
        return Path(self.source_name()).stem

    def digest(self, series: Series) -> str:
        return ""

    def file_to_forecast(self, path: str) -> SeriesFile:
        """How a file is read whose future is to be forecast."""
        return SeriesFile(None if path.endswith(".npy") else tuple(self.names))

    # The rest

    def setup(self, stage: str | None = None) -> None:
        if self.splits or (stage == "predict" and self.names):
            return
        series = self.read()
        parts = self.parts(len(series.values))
        columns = self.target_columns(series.names)
        if not self.names:
            self._use(series.names, *statistics(series.values[: parts["train"][1]], series.names))
        for split, (begin, end) in parts.items():
            first = max(0, begin - self.input_steps)
            source = WindowSource(
                series.values[first:end], self.input_steps, self.horizon_steps, columns, self.mean,
                series.times[first:end], first,
            )  # fmt: skip
            self.splits[split] = Split(source, range(len(source)), None, self.seed)
        self.facts = self._facts(series, columns)

    def parts(self, num_steps: int) -> dict[str, tuple[int, int]]:
        """Where each split begins and ends."""
        bounds = self.bounds(num_steps)
        parts = dict(zip(("train", "val", "test"), zip([0, *bounds], bounds, strict=False), strict=True))
        if self.folds is None:
            return parts
        self.fold_cut = self.folds.chain(bounds[1])
        train, val = (indices.tolist() for indices in self.fold_cut.split(self.folds.index))
        if len(train) < self.input_steps + self.horizon_steps or len(val) < self.horizon_steps:
            raise DataError(
                f"folds.num_folds={self.folds.num_folds}: fold {self.folds.index} would have {len(train)} steps to train on "
                f"and {len(val)} to validate, and a window has {self.input_steps + self.horizon_steps}. Take fewer folds."
            )
        return parts | {"train": (0, len(train)), "val": (val[0], val[-1] + 1)}

    def bounds(self, num_steps: int) -> list[int]:
        """Where train, val and test end.

        Raises:
            DataError: one of them is too short for a window.
        """
        if self.rows is not None:
            train, val, test = self.rows
            if train + val + test > num_steps:
                raise DataError(f"data.rows={self.rows} asks for {sum(self.rows)} steps; the series has {num_steps}.")
        else:
            val, test = round(num_steps * self.val_fraction), round(num_steps * self.test_fraction)
            train = num_steps - val - test
        window = self.input_steps + self.horizon_steps
        if train < window or min(val, test) < self.horizon_steps:
            raise DataError(
                f"the series has {num_steps} steps, cut into {train} for training, {val} for validation and {test} for "
                f"test. A window needs {self.input_steps} steps to read and {self.horizon_steps} to forecast: "
                f"at least {window} for training and {self.horizon_steps} each for the others. "
                "Lower data.input_steps or data.horizon_steps."
            )
        return [train, train + val, train + val + test]

    def target_columns(self, names: Sequence[str]) -> list[int]:
        for name in self.target:
            if name not in names:
                raise DataError(f"data.target: the series has no column {name!r}. {did_you_mean(name, names)}")
        return [names.index(name) for name in self.target] or list(range(len(names)))

    def _use(self, names: Sequence[str], mean: Sequence[float], std: Sequence[float]) -> None:
        self.names, self.mean, self.std = list(names), list(mean), list(std)
        self.normalize = Standardize(self.mean, self.std)

    def _facts(self, series: Series, columns: list[int]) -> Facts:
        return Facts(
            task="forecasting",
            input_shape=(self.input_steps, len(self.names)),
            num_outputs=self.horizon_steps * len(columns),
            **{f"num_{name}": len(split) for name, split in self.splits.items()},
            name=self.title,
            source=self.source_name(),
            digest=self.digest(series),
            extra={
                "num_features": len(self.names), "vocab_size": 0, "per_step": False,
                "input_steps": self.input_steps, "horizon_steps": self.horizon_steps,
                "season_steps": self.season_steps or 1, "feature_names": self.names,
                "target_names": [self.names[column] for column in columns], "target_columns": columns,
                "target_mean": [self.mean[column] for column in columns],
                "target_std": [self.std[column] for column in columns],
            },
        )  # fmt: skip

    def read_inputs(self, paths: Sequence[str]) -> list[tuple[str, Tensor]]:
        """Of each file the last ``input_steps`` steps: what comes behind them is forecast."""
        found = []
        for path in paths:
            series = self.file_to_forecast(path).read(path)
            num_steps, num_columns = series.values.shape
            if num_steps < self.input_steps or num_columns != len(self.names):
                raise DataError(
                    f"{path} has {num_steps} steps of {num_columns} columns; expected at least {self.input_steps} of "
                    f"{len(self.names)} ({', '.join(self.names[:5])})."
                )
            last = np.asarray(series.values[-self.input_steps :], dtype=np.float32)[None]
            found.append((path, torch.from_numpy(fill_from_past(last, np.asarray(self.mean, np.float32))[0])))
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"names": self.names, "mean": self.mean, "std": self.std}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what was learnt from the training steps.

        Raises:
            DataError: ``setup`` already learnt something else: the series has changed since.
        """
        self.refuse_change(state_dict, self.source_name(), "its columns, means or deviations differ")
        self._use(state_dict["names"], state_dict["mean"], state_dict["std"])


def statistics(values: np.ndarray, names: Sequence[str]) -> tuple[list[float], list[float]]:
    """Mean and deviation of each column, missing values left out; of a memory map piece by piece.

    Raises:
        DataError: a column has no value at all among them.
    """
    count = np.zeros(len(names))
    total, square = np.zeros(len(names)), np.zeros(len(names))
    rows = max(1, VALUES_A_PIECE // len(names))
    for begin in range(0, len(values), rows):
        piece = np.asarray(values[begin : begin + rows], dtype=np.float64)
        if begin == 0:
            shift = np.nan_to_num(piece[0])  # sums of squares of large numbers would lose their digits
        piece = piece - shift
        count += (~np.isnan(piece)).sum(0)
        total, square = total + np.nansum(piece, 0), square + np.nansum(piece**2, 0)
    empty = [name for name, number in zip(names, count, strict=True) if not number]
    if empty:
        raise DataError(f"no training step has a value in {', '.join(map(repr, empty))}. Leave such columns out.")
    mean = total / count
    return (mean + shift).tolist(), np.sqrt(np.maximum(square / count - mean**2, 0)).tolist()
