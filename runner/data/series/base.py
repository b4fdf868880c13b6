"""Base class of data modules for time series."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Unpack

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from runner.data.base import DataModule, LoaderOptions
from runner.data.facts import Facts
from runner.data.labels import find_label
from runner.data.series.file import Series, SeriesFile
from runner.data.series.plan import Plan, plan_windows
from runner.data.series.window import (
    SeriesSplit,
    SeriesStandardize,
    WindowSource,
    fill_from_past,
    float32_loses_digits,
    scale_of,
    standardized,
    statistics,
    with_scale,
)
from runner.errors import DataError
from runner.suggest import did_you_mean

__all__ = ["SeriesDataModule", "SeriesOptions"]

log = logging.getLogger(__name__)

FEW_SERIES = 12
"""Maximum number of series with separate metrics."""


class SeriesOptions(LoaderOptions, total=False):
    """Keyword arguments that subclasses forward to ``SeriesDataModule``."""

    input_steps: int
    horizon_steps: int
    target: str | list[str] | None
    val_fraction: float
    test_fraction: float
    rows: list[int] | None
    batch_size: int


class SeriesDataModule(DataModule):
    """Windows of one or several series, split in the order of time: training, validation, test.

    The forecast steps of a split belong to it; its input steps may lie before it. Each series is standardized
    by statistics of its training steps only, computed in float64. A missing input value is filled from the
    past of its window; a missing target counts in neither loss nor metrics. No window spans two series or a
    gap in time.

    Batches hold standardized inputs, targets in the unit of the data (``targets``) and standardized
    (``standardized``), and, if there are several series, their numbers (``series``).

    Args:
        input_steps: L, the number of input steps.
        horizon_steps: H, the number of steps to forecast after it.
        target: names of the K columns to forecast; all when None.
        season_steps: period of the series in steps, such as 24 for hours of a day or 12 for months of a year.
            The seasonal-naive forecast repeats the last season. None repeats the last value.
        val_fraction, test_fraction: fractions of the steps, at the end of the series.
        rows: numbers of train, val and test steps instead of the fractions; later steps are left out.
    """

    extra_facts = (
        "num_features",
        "vocab_size",
        "per_step",
        "input_steps",
        "horizon_steps",
        "season_steps",
        "feature_names",
        "target_names",
        "target_columns",
        "target_mean",
        "target_std",
        "series_names",
        "num_series",
        "notes",
    )

    def __init__(
        self,
        *,
        input_steps: Annotated[int, Ge(1)] = 96,
        horizon_steps: Annotated[int, Ge(1)] = 24,
        target: str | list[str] | None = None,
        season_steps: Annotated[int, Ge(1)] | None = None,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.2,
        test_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.2,
        rows: list[Annotated[int, Gt(0)]] | None = None,
        batch_size: Annotated[int, Gt(0)] = 32,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        if rows is not None and len(rows) != 3:
            raise DataError(
                f"rows={rows} names {len(rows)} numbers of steps; expected three: train, val and test."
            )
        if season_steps is not None and season_steps > input_steps:
            raise DataError(
                f"season_steps={season_steps} is longer than input_steps={input_steps}: the input steps must "
                "contain the last season. Raise input_steps, or set season_steps=null."
            )
        self.input_steps = input_steps
        self.horizon_steps = horizon_steps
        self.target = [target] if isinstance(target, str) else list(target or [])
        self.season_steps = season_steps
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.rows = rows
        self.names: list[str] = []
        self.mean: list[Any] = []
        self.std: list[Any] = []
        self.series: list[str] = []
        self.notes: list[str] = []

    # Methods that a subclass implements

    def read(self) -> Series:
        """Return the series.

        Raises:
            DataError: the series does not exist, or is not as expected.
        """
        raise TypeError(f"{type(self).__name__} must define read()")

    def source_name(self) -> str:
        """Return the origin of the series, for facts and messages."""
        return ""

    @property
    def title(self) -> str:
        """The name of the data set."""
        return Path(self.source_name()).stem

    def digest(self, series: Series) -> str:
        """Return a fingerprint of the content."""
        return ""

    def file_to_forecast(self, path: str) -> SeriesFile:
        """Return the options for reading a file to forecast."""
        return SeriesFile(None if path.endswith(".npy") else tuple(self.names))

    # Implementation

    def setup(self, stage: str | None = None) -> None:
        if self.splits or (stage == "predict" and self.names):
            return
        series = self.read()
        plan = self.plan(series)
        self.notes = series.notes
        for note in self.notes:
            log.warning("%s: %s", self.source_name(), note)
        if not self.names:
            self._use(series.names, *self.scales(series, plan), plan.names if series.parts else [])
        columns = self.target_columns(series.names)
        for split, windows in plan.windows.items():
            first, end = windows.first, windows.end
            source = WindowSource(
                series.values[first:end], self.input_steps, self.horizon_steps, columns, self.mean,
                series.times[first:end], first, self.std, windows.starts - first, windows.series, self.series,
            )  # fmt: skip
            self.splits[split] = SeriesSplit(source, range(len(source)), None, self.seed)
        self.facts = self._facts(series, columns)

    def plan(self, series: Series) -> Plan:
        """Plan the windows of each split; windows and series that are left out are added to ``dropped``.

        Raises:
            DataError: there are too few steps or values, or the config refers to a missing column.
        """
        if series.parts and self.folds is not None:
            raise DataError("folds do not work with data.id_column yet. Leave out folds, or data.id_column.")
        for entry in series.dropped.entries:
            self.dropped.add(entry.what, entry.count, entry.reason, entry.total, entry.where, entry.examples)
        columns = self.target_columns(series.names)
        if self.rows is not None and self.folds is None:
            lengths = [end - begin for _, begin, end in series.parts] or [len(series.values)]
            num_later = sum(max(0, length - sum(self.rows)) for length in lengths)
            self.dropped.add("steps", num_later, "they lie after those of data.rows", sum(lengths))
        return plan_windows(
            series,
            self.parts,
            self.input_steps,
            self.horizon_steps,
            columns,
            self.dropped,
            self.source_name(),
        )

    def scales(self, series: Series, plan: Plan) -> tuple[list[Any], list[Any]]:
        """Return mean and standard deviation of the training steps.

        Returns:
            Two lists ``(F,)``, or ``(S, F)`` for several series.
        """
        if not series.parts:
            return statistics(series.values[slice(*plan.spans[0]["train"])], series.names)
        pairs = [
            statistics(series.values[slice(*spans["train"])], series.names, missing_allowed=True)
            for spans in plan.spans
        ]
        mean, std = (np.array([pair[index] for pair in pairs]) for index in (0, 1))
        return without_unknown(mean).tolist(), np.nan_to_num(std).tolist()

    def parts(self, num_steps: int) -> dict[str, tuple[int, int]]:
        """Return the first and last step + 1 of each split."""
        bounds = self.bounds(num_steps)
        parts = dict(zip(("train", "val", "test"), zip([0, *bounds], bounds, strict=False), strict=True))
        if self.folds is None:
            return parts
        self.fold_cut = self.folds.chain(bounds[1])
        train, val = (indices.tolist() for indices in self.fold_cut.split(self.folds.index))
        if len(train) < self.input_steps + self.horizon_steps or len(val) < self.horizon_steps:
            raise DataError(
                f"folds.num_folds={self.folds.num_folds}: fold {self.folds.index} would have {len(train)} "
                f"training steps and {len(val)} validation steps, and a window has "
                f"{self.input_steps + self.horizon_steps}. Use fewer folds."
            )
        return parts | {"train": (0, len(train)), "val": (val[0], val[-1] + 1)}

    def bounds(self, num_steps: int) -> list[int]:
        """Return the ends of train, val and test.

        Raises:
            DataError: a split is too short for a window.
        """
        if self.rows is not None:
            train, val, test = self.rows
            if train + val + test > num_steps:
                raise DataError(
                    f"data.rows={self.rows} needs {sum(self.rows)} steps; the series has {num_steps}."
                )
        else:
            val, test = round(num_steps * self.val_fraction), round(num_steps * self.test_fraction)
            train = num_steps - val - test
        window = self.input_steps + self.horizon_steps
        if train < window or min(val, test) < self.horizon_steps:
            raise DataError(
                f"the series has {num_steps} steps, split into {train} for training, {val} for validation "
                f"and {test} for test. A window has {self.input_steps} input steps and {self.horizon_steps} "
                f"forecast steps, so training needs at least {window} steps, validation and test "
                f"{self.horizon_steps} each. Lower data.input_steps or data.horizon_steps."
            )
        return [train, train + val, train + val + test]

    def target_columns(self, names: Sequence[str]) -> list[int]:
        """Return the positions of the columns to forecast.

        Raises:
            DataError: a column of ``data.target`` does not exist.
        """
        for name in self.target:
            if name not in names:
                raise DataError(
                    f"data.target: the series has no column {name!r}. {did_you_mean(name, names)}"
                )
        return [names.index(name) for name in self.target] or list(range(len(names)))

    def _use(
        self, names: Sequence[str], mean: Sequence[Any], std: Sequence[Any], series: Sequence[str] = ()
    ) -> None:
        self.names, self.mean, self.std, self.series = list(names), list(mean), list(std), list(series)
        self.normalize = nn.Identity() if self.series else SeriesStandardize(self.mean, self.std)

    @property
    def input_dtype(self) -> str:
        """The data type of inputs before ``normalize``: ``float32``, or ``float64`` for a large offset."""
        return "float64" if not self.series and float32_loses_digits(self.mean, self.std) else "float32"

    def _facts(self, series: Series, columns: list[int]) -> Facts:
        return Facts(
            task="forecasting",
            input_shape=(self.input_steps, len(self.names)),
            num_outputs=self.horizon_steps * len(columns),
            **self.split_sizes(),
            name=self.title,
            source=self.source_name(),
            digest=self.digest(series),
            extra={
                "num_features": len(self.names), "vocab_size": 0, "per_step": False,
                "input_steps": self.input_steps, "horizon_steps": self.horizon_steps,
                "season_steps": self.season_steps or 1, "feature_names": self.names,
                "target_names": [self.names[column] for column in columns], "target_columns": columns,
                "target_mean": [0.0 if self.series else self.mean[column] for column in columns],
                "target_std": [1.0 if self.series else self.std[column] for column in columns],
                "series_names": self.series if len(self.series) <= FEW_SERIES else [],
                "num_series": len(self.series) or 1, "notes": self.notes,
            },
        )  # fmt: skip

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Adds mean and standard deviation of each window's series, if there are several.

        The inputs are already standardized.
        """
        if "series" in batch and self.facts is not None:
            device = batch["series"].device
            columns = self.facts.extra["target_columns"]
            numbers = batch["series"].cpu().numpy()
            for name, values in (("target_mean", self.mean), ("target_std", self.std)):
                rows = torch.from_numpy(np.asarray(values)[numbers][:, None, columns])
                batch[name] = rows if device.type == "mps" else rows.to(device)
            batch["target_std"] = torch.where(batch["target_std"] == 0, 1.0, batch["target_std"])
        return batch

    def batch_inputs(self, inputs: Sequence[Tensor]) -> Tensor:
        """Collates windows in the unit of the data, standardized by their own series, ``(N, L, F)``."""
        return torch.stack([standardized(window.numpy(), *self.scale_of(window)) for window in inputs])

    def scale_of(self, window: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and standard deviation of a window's series in float64."""
        mean, std = scale_of(window) or (self.mean, self.std)
        std = np.asarray(std, dtype=np.float64)
        return np.asarray(mean, dtype=np.float64), np.where(std == 0, 1.0, std)

    def in_units(self, outputs: dict[str, Any], inputs: Sequence[Tensor]) -> dict[str, Any]:
        """Converts forecasts ``(N, H, K)`` to the unit of each window's series."""
        if not self.series:
            return outputs
        columns = self.target_columns(self.names)
        scales = [[values[columns] for values in self.scale_of(window)] for window in inputs]
        mean, std = (
            torch.from_numpy(np.stack([pair[index] for pair in scales])[:, None]) for index in (0, 1)
        )
        return outputs | {"preds": outputs["preds"].cpu().double() * std + mean}

    def read_inputs(self, paths: Sequence[str]) -> list[tuple[str, Tensor]]:
        """Reads the last ``input_steps`` steps of each series in each file, after which to forecast.

        A series that was not in the training data is standardized by its own steps in the file.

        Raises:
            DataError: a file cannot be read, or a series is too short or has a gap in its last steps.
        """
        windows = []
        for path in paths:
            series = self.file_to_forecast(path).read(path)
            for name, begin, end in series.parts or [("", 0, len(series.values))]:
                windows.append(
                    (f"{path}: {name}" if name else path, self.last_window(series, path, name, begin, end))
                )
        return windows

    def last_window(self, series: Series, path: str, name: str, begin: int, end: int) -> Tensor:
        """Return the last ``input_steps`` steps ``(L, F)`` of the series in rows ``begin`` to ``end``."""
        shown = f"{path}, series {name!r}," if name else path
        num_steps, num_columns = end - begin, series.values.shape[1]
        if num_steps < self.input_steps or num_columns != len(self.names):
            raise DataError(
                f"{shown} has {num_steps} steps of {num_columns} columns; expected at least "
                f"{self.input_steps} of {len(self.names)} ({', '.join(self.names[:5])})."
            )
        first = end - self.input_steps
        gaps = series.breaks[(series.breaks > first) & (series.breaks < end)]
        if len(gaps):
            raise DataError(
                f"{shown} has a gap in time before {series.times[gaps[-1]]}, among the last "
                f"{self.input_steps} steps, which the model reads. Add the missing steps as rows with empty "
                "cells."
            )
        scale = self.scale_of_series(name, series.values[begin:end])
        values = np.asarray(series.values[first:end], dtype=np.float64)[None]
        window = torch.from_numpy(np.ascontiguousarray(fill_from_past(values, scale[0])[0]))
        return with_scale(window, scale)

    def scale_of_series(self, name: str, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of a series from training, or of ``values`` if it is new.

        Args:
            name: id of the series.
            values: its steps ``(T, F)``.
        """
        if not self.series:
            return np.asarray(self.mean), np.asarray(self.std)
        number = find_label(name, self.series)
        if number is not None:
            return np.asarray(self.mean[number]), np.asarray(self.std[number])
        mean, std = (np.array(part) for part in statistics(values, self.names, missing_allowed=True))
        return np.where(np.isnan(mean), np.mean(self.mean, axis=0), mean), np.nan_to_num(std)

    def state_dict(self) -> dict[str, Any]:
        series = {"series": self.series} if self.series else {}
        return {"names": self.names, "mean": self.mean, "std": self.std} | series

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores columns, ids and statistics of the training steps.

        Raises:
            DataError: ``setup`` already computed different ones: the series has changed.
        """
        self.reject_change(state_dict, self.source_name(), "its columns, means or deviations differ")
        self._use(state_dict["names"], state_dict["mean"], state_dict["std"], state_dict.get("series", ()))


def without_unknown(mean: np.ndarray) -> np.ndarray:
    """Replace unknown means in ``(S, F)`` by the mean of the other series, or by 0 if there are none."""
    known = ~np.isnan(mean)
    others = np.where(known, mean, 0).sum(0) / np.maximum(known.sum(0), 1)
    return np.where(known, mean, others)
