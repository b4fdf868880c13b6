"""Data module of series in files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Unpack

from annotated_types import Ge

from runner.data.download.file import data_folder
from runner.data.facts import digest_files
from runner.data.series.base import SeriesDataModule, SeriesOptions
from runner.data.series.file import LARGE_FILE_BYTES, Series, SeriesFile
from runner.data.tables.file import first_cells
from runner.errors import DataError

__all__ = ["SeriesTableDataModule"]


class SeriesTableDataModule(SeriesDataModule):
    """A text table with one row per time step, or a NumPy file ``(T, F)``.

    A NumPy file is memory-mapped, and a text file of more than 200 MB is converted to one, so that a series
    may be larger than memory.

    Args:
        path: the file, or a folder that holds ``file_name``.
        file_name: name of the file in such a folder.
        features: names of the columns to read; all columns of numbers when None.
        time_column: column with the time of each step, as timestamps or numbers; its order is checked, and
            times that occur twice are rejected. Windows that span a gap in otherwise regular steps are left
            out.
        id_column: column with the id of each row's series, in a file of several series (long format:
            ``unique_id``, ``ds``, ``y``). One model is trained on the windows of all of them; each series is
            split and standardized separately and has its own metrics. The column is not a feature.
        na_values: strings for missing values besides an empty cell, ``NA`` and ``NaN``.
        separator: separator of the cells; detected when None.
        decimal, thousands: number format, such as ``comma`` and ``point`` for ``1.234,5``; detected for each
            column when None.
        encoding: encoding of the file, such as ``cp1252`` or ``latin-1``; UTF-8, UTF-16 and UTF-32 are
            detected when None.
        data_dir: folder for the NumPy file of a large table; ``$RUNNER_DATA`` or ``~/.cache/runner`` when
            None.
        hint: where the file is available, shown when it is missing.
        input_steps, horizon_steps, target, season_steps, val_fraction, test_fraction, rows: see
            ``runner.data.series.base.SeriesDataModule``.
    """

    no_folds_with = ("id_column",)

    def __init__(
        self,
        path: str | None = None,
        *,
        file_name: str | None = None,
        features: list[str] | None = None,
        time_column: str | None = None,
        id_column: str | None = None,
        na_values: list[str | int | float] | None = None,
        separator: str | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        encoding: str | None = None,
        data_dir: str | None = None,
        hint: str = "",
        season_steps: Annotated[int, Ge(1)] | None = None,
        **options: Unpack[SeriesOptions],
    ) -> None:
        super().__init__(season_steps=season_steps, **options)
        self.path = Path(path).expanduser() if path else None
        if self.path and file_name and self.path.is_dir():
            self.path = self.path / file_name
        self.data_dir = data_dir
        self.hint = hint
        self.file = SeriesFile(
            tuple(dict.fromkeys([*features, *self.target])) if features else None,
            time_column,
            ("?", *map(str, na_values or ())),
            id_column,
            separator,
            decimal,
            thousands,
            tuple(self.target),
            encoding,
        )

    def check(self) -> list[str]:
        problem = self.column_problem()
        if problem:
            return [problem]
        if not self.path:
            return [
                f"data.path is not set: name the file of the series with data.path=FILE. {self.hint}".rstrip()
            ]
        if self.path.is_file() and self.path.stat().st_size > LARGE_FILE_BYTES:
            return []  # reading it takes long; the worker reports the same problems
        try:
            self.plan(self.read())
        except DataError as error:
            return [str(error)]
        return []

    def column_problem(self) -> str:
        """Return a problem if ``id_column`` conflicts with other options; empty otherwise."""
        name = self.file.id_column
        columns: dict[str, Sequence[str | None]] = {
            "data.time_column": [self.file.time_column],
            "data.target": self.target,
            "data.features": self.file.columns or (),
        }
        for key, others in columns.items():
            if name is not None and name in others:
                return (
                    f"data.id_column={name} is also in {key}: a column of ids cannot be time, feature or "
                    "target."
                )
        return ""

    @property
    def _file_path(self) -> Path:
        if self.path is None:
            raise DataError(f"data.path is not set. {self.hint}".rstrip())
        return self.path

    def read(self) -> Series:
        try:
            return self.file.read(self._file_path, data_folder(self.data_dir))
        except DataError as error:
            raise DataError(f"{error} {self.hint}".rstrip()) from error

    def file_to_forecast(self, path: str) -> SeriesFile:
        """Return the options for a file like that of training; the columns of times and ids are optional."""
        plain = super().file_to_forecast(path)
        header = (
            []
            if plain.columns is None
            else [name.strip() for name in first_cells(path, self.file.separator, self.file.encoding)[1]]
        )
        times, ids = (
            name if name in header else None for name in (self.file.time_column, self.file.id_column)
        )
        return replace(self.file, columns=plain.columns, time_column=times, id_column=ids)

    def source_name(self) -> str:
        return str(self.path.absolute()) if self.path else ""

    def digest(self, series: Series) -> str:
        return digest_files(self._file_path)
