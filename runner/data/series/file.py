"""Readers of series with one row per time step: text tables and NumPy files; large ones are memory-mapped."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from runner.data.dropped import MAX_EXAMPLES, DroppedSamples
from runner.data.labels import merge_spellings
from runner.data.series.order import best_reading, check_order, find_gaps, read_times, readings_of, text_of
from runner.data.series.unnamed_times import check_unnamed_times, reject_missing_header
from runner.data.tables.file import (
    NA_SPELLINGS,
    missing_spellings,
    number_columns,
    open_table,
    read_cells,
    to_numbers,
    written_plainly,
)  # fmt: skip
from runner.data.tables.numbers import NumberFormat, read_formats
from runner.errors import DataError
from runner.suggest import did_you_mean

__all__ = ["LARGE_FILE_BYTES", "Series", "SeriesFile"]

LARGE_FILE_BYTES = 200_000_000
"""Size above which a table is converted to a NumPy file, chunk by chunk, and read from there."""

ROWS_A_PIECE = 100_000
HEAD_ROWS = 1000


@dataclass
class Series:
    """One or several series of the same columns.

    Attributes:
        values: numbers ``(T, F)``, NaN for missing values; a memory map for a large file.
        names: names of the F columns.
        times: value of the time column at each step; empty without a time column.
        parts: id, first row and last row + 1 of each series; empty for a file of one series.
        breaks: rows directly after a gap in time, sorted.
        dropped: rows and columns that were not read.
        notes: notices about the file for the user.
    """

    values: np.ndarray
    names: list[str]
    times: Sequence[str] = ()
    parts: list[tuple[str, int, int]] = field(default_factory=list)
    breaks: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    dropped: DroppedSamples = field(default_factory=DroppedSamples)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SeriesFile:
    """Options for reading a file.

    Attributes:
        columns: columns to read; all columns of numbers when None.
        time_column: column with the time of each step, whose order is checked.
        na_values: strings for missing values besides an empty cell.
        id_column: column with the id of each row's series, in a file of several series (long format).
        targets: columns that must hold numbers.
        separator, decimal, thousands, encoding: format of cells, numbers and text; see
            ``runner.data.tables.file.read_table``.
    """

    columns: tuple[str, ...] | None = None
    time_column: str | None = None
    na_values: tuple[str, ...] = ("?",)
    id_column: str | None = None
    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    targets: tuple[str, ...] = ()
    encoding: str | None = None

    def read(self, path: str | Path, cache: str | Path | None = None) -> Series:
        """Reads a file.

        Args:
            path: a text table or a NumPy file.
            cache: folder for the NumPy file of a large table.

        Raises:
            DataError: the file or a column does not exist, a cell is not a number, the steps are not in the
                order of time, or a time occurs more than once.
        """
        path = Path(path).expanduser()
        if path.suffix == ".npy":
            if self.id_column:
                raise DataError(
                    f"data.id_column={self.id_column}: {path} is a NumPy file, which has no column of ids."
                )
            return read_array(path)
        if (
            cache is not None
            and not self.id_column
            and path.is_file()
            and path.stat().st_size > LARGE_FILE_BYTES
        ):
            return self.read_large(path, Path(cache))
        return self.read_whole(path)

    def read_whole(self, path: Path) -> Series:
        """Read a table into memory."""
        dropped = DroppedSamples()
        table = self.read_text(path, dropped)
        names = self.names_in(table, path, dropped)
        for column in (self.time_column, self.id_column):
            if column:
                missing = table[column].isna()
                rows = [f"row {row + 1}" for row in table.index[missing][:MAX_EXAMPLES]]
                dropped.add("rows", int(missing.sum()), f"no value in {column!r}", len(table), path, rows)
                table = table[~missing]
        if not len(table):
            raise DataError(f"{path} has no row with a value in {self.time_column or self.id_column!r}.")
        values = number_columns(table, names, path, missing_allowed=True)
        parts: list[tuple[str, int, int]] = []
        if self.id_column:
            order, parts = group_by_id(table[self.id_column])
            table, values = table.iloc[order], values[order]
        times = table[self.time_column].tolist() if self.time_column else ()
        series = Series(values, names, times, parts, dropped=dropped)
        if self.time_column:
            spans = [(begin, end) for _, begin, end in parts]
            self.use_times(series, read_times(table[self.time_column], spans), path, table)
        elif not self.columns:
            series.notes += check_unnamed_times(table, names, self.targets, path, parts, self.id_column)
        return series

    def read_text(
        self, path: Path, dropped: DroppedSamples | None = None, num_rows: int | None = None
    ) -> pd.DataFrame:
        """Read cells as text with normalized numbers; times and ids are left unchanged."""
        ids = [self.id_column] if self.id_column else []
        table = read_cells(path, None, self.separator, self.na_values, num_rows, ids, dropped, self.encoding)
        for name in ids:
            if name in table:
                table[name] = table[name].where(~table[name].isin(["", *self.na_values]))
        return written_plainly(table, self.formats(table, path))

    def formats(self, table: pd.DataFrame, path: Path) -> dict[str, NumberFormat]:
        """Return the number formats of the columns that may be read."""
        numbers = [name for name in map(str, table) if name not in (self.time_column, self.id_column)]
        if self.columns:
            numbers = [name for name in numbers if name in self.columns]
        return read_formats(table[numbers], path, self.decimal, self.thousands)

    def use_times(
        self, series: Series, times: np.ndarray | None, path: Path, table: pd.DataFrame | None = None
    ) -> None:
        """Check the order of the steps and find the gaps of each series.

        Raises:
            DataError: see ``check_order``.
        """
        time_column = self.time_column or ""
        if times is None:
            series.notes.append(
                f"the order of the steps was not checked: {self.time_column!r} holds values that are "
                "neither times nor numbers"
            )
            return
        breaks, missing, irregular, largest = [], 0, [], (0, 0)
        parts = series.parts or [("", 0, len(times))]
        for name, begin, end in parts:
            rows = None if table is None else table.iloc[begin:end]
            check_order(times[begin:end], time_column, path, rows, name, self.id_column)
            gaps = find_gaps(times[begin:end])
            breaks.append(gaps.rows + begin)
            if not gaps.is_regular:
                irregular.append(name)
            if len(gaps.rows):
                missing += int(gaps.missing.sum())
                widest = int(gaps.missing.argmax())
                largest = max(
                    largest,
                    (int(gaps.missing[widest]), int(gaps.rows[widest]) + begin),
                    key=lambda gap: gap[0],
                )
        series.breaks = np.concatenate(breaks)
        if len(series.breaks):
            size, row = largest
            owner = next(
                (f" of series {name!r}" for name, begin, end in series.parts if begin <= row < end), ""
            )
            series.notes.append(
                f"{len(series.breaks)} gaps in {self.time_column!r}: {missing} steps are missing. The "
                f"largest gap, {size} steps, lies between {text_of(times[row - 1])} and "
                f"{text_of(times[row])}{owner}. Windows that span a gap are left out; to use them, add the "
                "missing steps as rows with empty cells"
            )
        if irregular:
            which = f" of {len(irregular)} series (for example {irregular[0]!r})" if series.parts else ""
            series.notes.append(
                f"the steps{which} in {self.time_column!r} differ in length, so gaps cannot be detected"
            )

    def names_in(self, table: pd.DataFrame, path: Path, dropped: DroppedSamples | None = None) -> list[str]:
        """Return the names of the columns to read, by the first rows of a table."""
        no_features = [name for name in (self.time_column, self.id_column) if name]
        for name in [*(self.columns or ()), *no_features]:
            if name not in table.columns:
                raise DataError(f"{path} has no column {name!r}. {did_you_mean(name, table.columns)}")
        if self.columns:
            return list(self.columns)
        reject_missing_header(table, path)
        head = table.head(HEAD_ROWS).drop(columns=no_features)
        columns = [str(name) for name in head]
        numbers = [name for name in columns if (to_numbers(head[name]).notna() == head[name].notna()).all()]
        names = [name for name in columns if name in numbers or name in self.targets]
        others = [name for name in columns if name not in names]
        if dropped is not None:
            dropped.add(
                "columns", len(others), "they hold other values than numbers", len(head.columns), path, others
            )
        if not names:
            raise DataError(f"{path} has no column of numbers; it has {', '.join(map(str, table.columns))}.")
        return names

    def read_large(self, path: Path, cache: Path) -> Series:
        """Read a large table through NumPy files in ``cache``, created once; steps are named by their row."""
        dropped = DroppedSamples()
        names = self.names_in(self.read_text(path, num_rows=HEAD_ROWS), path, dropped)
        stat = path.stat()
        key = (
            f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns} {names} {self.time_column} "
            f"{self.na_values} "
        )
        key += f"{self.separator} {self.decimal} {self.thousands} {self.encoding} float64"
        target = (
            cache / "series" / f"{path.stem}-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}.npy"
        )
        times_file = cache / "series_times" / target.name
        if not target.is_file() or (self.time_column and not times_file.is_file()):
            for file in (target, times_file):
                file.parent.mkdir(parents=True, exist_ok=True)
            readings: list[dict[str, np.ndarray]] = []
            write_array(target, self.pieces(path, names, readings), len(names))
            if self.time_column:
                np.save(times_file, joined_times(readings))
        series = Series(np.load(target, mmap_mode="r"), names, dropped=dropped)
        if self.time_column:
            times = np.load(times_file)
            self.use_times(series, times if len(times) == len(series.values) else None, path)
        return series

    def pieces(
        self, path: Path, names: Sequence[str], readings: list[dict[str, np.ndarray]]
    ) -> Iterator[np.ndarray]:
        """Yield numbers ``(n, F)``; the readings of the times of each piece are appended to ``readings``.

        Raises:
            DataError: a cell is not a number, or a row has no time.
        """
        wanted = list(dict.fromkeys([*names, *([self.time_column] if self.time_column else [])]))
        head = read_cells(path, None, self.separator, self.na_values, HEAD_ROWS, encoding=self.encoding)
        formats = self.formats(head, path)
        formats = {name: form for name, form in formats.items() if name in names}
        missing = missing_spellings(self.na_values) | NA_SPELLINGS
        file, separator = open_table(path, self.separator, self.encoding)
        with file:
            chunks = pd.read_csv(
                file,
                chunksize=ROWS_A_PIECE,
                sep=separator,
                dtype=str,
                na_filter=False,
                skipinitialspace=True,
                index_col=False,
            )
            for chunk in chunks:
                chunk.columns = [str(name).strip() for name in chunk.columns]
                cells = chunk[wanted].apply(lambda column: column.str.strip())
                piece = cells.where(~cells.isin(missing))
                if self.time_column:
                    column = piece[self.time_column]
                    if column.isna().any():
                        row = column.index[column.isna()][0] + 1
                        raise DataError(f"{path}, row {row}: column {self.time_column!r} has no value.")
                    readings.append(readings_of(column))
                yield number_columns(written_plainly(piece, formats), names, path, missing_allowed=True)


def joined_times(pieces: Sequence[dict[str, np.ndarray]]) -> np.ndarray:
    """Return the times of all pieces in the best common reading; empty if there is none."""
    shared = [name for name in pieces[0] if all(name in piece for piece in pieces)]
    times = best_reading({name: np.concatenate([piece[name] for piece in pieces]) for name in shared})
    return np.zeros(0) if times is None else times


def group_by_id(ids: pd.Series) -> tuple[np.ndarray, list[tuple[str, int, int]]]:
    """Group rows by series.

    Returns:
        The row order in which the rows of each series are adjacent, series ordered by their first rows; and
        id, begin and end of each series.
    """
    codes, names = pd.factorize(ids.map(merge_spellings(ids.unique())))
    ends = np.cumsum(np.bincount(codes)).tolist()
    parts = [(str(name), begin, end) for name, begin, end in zip(names, [0, *ends], ends, strict=False)]
    return np.argsort(codes, kind="stable"), parts


def read_array(path: Path) -> Series:
    """Map a NumPy file of numbers, ``(T,)`` or ``(T, F)``, into memory."""
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is not a NumPy file of numbers: {error}.") from error
    if values.ndim not in (1, 2) or values.dtype.kind not in "fiu":
        raise DataError(
            f"{path} holds {values.dtype} of shape {values.shape}; expected numbers of shape (T, F)."
        )
    values = values.reshape(len(values), -1)
    return Series(values, [f"column {number}" for number in range(values.shape[1])])


def write_array(target: Path, pieces: Iterator[np.ndarray], num_columns: int) -> None:
    """Write pieces ``(n, F)`` one below the other to a NumPy file, with at most one of them in memory."""
    raw, half = target.with_suffix(".raw"), target.with_suffix(".half.npy")
    num_rows = 0
    with open(raw, "wb") as file:
        for piece in pieces:
            piece.tofile(file)
            num_rows += len(piece)
    written = np.memmap(raw, dtype=np.float64, mode="r", shape=(num_rows, num_columns))
    whole = np.lib.format.open_memmap(half, mode="w+", dtype=np.float64, shape=written.shape)
    for begin in range(0, num_rows, ROWS_A_PIECE):
        whole[begin : begin + ROWS_A_PIECE] = written[begin : begin + ROWS_A_PIECE]
    whole.flush()
    raw.unlink()
    half.replace(target)
