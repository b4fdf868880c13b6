"""A series in a file, one row a step of time: a text table, or a NumPy file; large ones stay on the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from runner.data.nearest import did_you_mean
from runner.data.tables.file import first_cells, number_columns, read_table, to_numbers
from runner.errors import DataError

__all__ = ["LARGE_FILE_BYTES", "Series", "SeriesFile"]

LARGE_FILE_BYTES = 200_000_000
"""A larger table is turned into a NumPy file once, piece by piece, and read from there."""

ROWS_A_PIECE = 100_000


@dataclass
class Series:
    """
    Attributes:
        values: numbers ``(T, F)``, NaN where one is missing. Of a large file a memory map.
        names: of the F columns.
        times: what the column of time says at each step; empty without one.
    """

    values: np.ndarray
    names: list[str]
    times: Sequence[str] = ()


@dataclass(frozen=True)
class SeriesFile:
    """How a file is read.

    Attributes:
        columns: to read; all that hold numbers when None.
        time_column: tells the time of each step.
        na_values: what stands for a missing value besides an empty cell.
    """

    columns: tuple[str, ...] | None = None
    time_column: str | None = None
    na_values: tuple[str, ...] = ("?",)

    def read(self, path: str | Path, cache: str | Path | None = None) -> Series:
        """
        Args:
            cache: folder for the NumPy file of a large table.

        Raises:
            DataError: no such file or column, cells that are no numbers, steps not in the order of time.
        """
        path = Path(path).expanduser()
        if path.suffix == ".npy":
            return read_array(path)
        if cache is not None and path.is_file() and path.stat().st_size > LARGE_FILE_BYTES:
            return self.read_large(path, Path(cache))
        table = read_table(path, na_values=self.na_values)
        names = self.names_in(table, path)
        if self.time_column:
            check_order(table[self.time_column], path)
        times = table[self.time_column].astype(str).tolist() if self.time_column else ()
        return Series(number_columns(table, names, path, missing_allowed=True).astype(np.float32), names, times)

    def names_in(self, table: pd.DataFrame, path: Path) -> list[str]:
        """Names of the columns to read, by the first rows of a table."""
        for name in [*(self.columns or ()), *([self.time_column] if self.time_column else [])]:
            if name not in table.columns:
                raise DataError(f"{path} has no column {name!r}. {did_you_mean(name, table.columns)}")
        if self.columns:
            return list(self.columns)
        head = table.head(1000).drop(columns=[self.time_column] if self.time_column else [])
        names = [name for name in head if (to_numbers(head[name]).notna() == head[name].notna()).all()]
        if not names:
            raise DataError(f"{path} has no column of numbers; it has {', '.join(map(str, table.columns))}.")
        return names

    def read_large(self, path: Path, cache: Path) -> Series:
        """Through a NumPy file in ``cache``, made once; a step's name is then its row."""
        names = self.names_in(read_table(path, na_values=self.na_values, num_rows=1000), path)
        stat = path.stat()
        key = f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns} {names}"
        target = cache / "series" / f"{path.stem}-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}.npy"
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            write_array(target, self.pieces(path, names), len(names))
        return Series(np.load(target, mmap_mode="r"), names)

    def pieces(self, path: Path, names: Sequence[str]) -> Iterator[np.ndarray]:
        separator, _ = first_cells(path)
        wanted = list(dict.fromkeys([*names, *([self.time_column] if self.time_column else [])]))
        options = {"sep": separator, "dtype": str, "usecols": wanted, "na_values": [*self.na_values, ""]}
        for piece in pd.read_csv(path, chunksize=ROWS_A_PIECE, skipinitialspace=True, **options):
            if self.time_column:
                check_order(piece[self.time_column], path)
            yield number_columns(piece, names, path, missing_allowed=True).astype(np.float32)


def read_array(path: Path) -> Series:
    """``(T,)`` or ``(T, F)`` numbers, memory-mapped."""
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is no NumPy file of numbers: {error}.") from error
    if values.ndim not in (1, 2) or values.dtype.kind not in "fiu":
        raise DataError(f"{path} holds {values.dtype} of shape {values.shape}; expected numbers of shape (T, F).")
    values = values.reshape(len(values), -1)
    return Series(values, [f"column {number}" for number in range(values.shape[1])])


def write_array(target: Path, pieces: Iterator[np.ndarray], num_columns: int) -> None:
    """Pieces ``(n, F)`` one below the other in a NumPy file, with never more than one in memory."""
    raw, half = target.with_suffix(".raw"), target.with_suffix(".half.npy")
    num_rows = 0
    with open(raw, "wb") as file:
        for piece in pieces:
            piece.tofile(file)
            num_rows += len(piece)
    written = np.memmap(raw, dtype=np.float32, mode="r", shape=(num_rows, num_columns))
    whole = np.lib.format.open_memmap(half, mode="w+", dtype=np.float32, shape=written.shape)
    for begin in range(0, num_rows, ROWS_A_PIECE):
        whole[begin : begin + ROWS_A_PIECE] = written[begin : begin + ROWS_A_PIECE]
    whole.flush()
    raw.unlink()
    half.replace(target)


def check_order(times: pd.Series, path: Path) -> None:
    """
    Raises:
        DataError: the steps are not in the order of time.
    """
    try:
        seconds = pd.to_datetime(times).diff().dt.total_seconds().to_numpy()
    except (ValueError, TypeError):  # no times as pandas knows them: the order is the file's
        return
    late = np.flatnonzero(seconds < 0)
    if len(late):
        row = late[0]
        raise DataError(
            f"{path} is not in the order of time: row {times.index[row] + 1} ({times.iloc[row]}) comes after "
            f"{times.iloc[row - 1]}. Sort it by {times.name!r} first."
        )
