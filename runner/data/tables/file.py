"""Tables in text files: any separator, with or without a header line, every cell as the text that stands there."""

from __future__ import annotations

import csv
import gzip
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from runner.data.nearest import did_you_mean
from runner.errors import DataError

__all__ = ["first_cells", "is_number", "missing_columns", "number_columns", "read_table", "to_numbers"]

SEPARATORS = ",;\t|"
SUFFIXES = {".csv", ".tsv", ".txt", ".data", ".gz"}
HEAD_BYTES = 1 << 16
FEW_COLUMNS = 3


def read_table(
    path: str | Path,
    columns: Sequence[str] | None = None,
    separator: str | None = None,
    na_values: Sequence[str] = ("?",),
    num_rows: int | None = None,
) -> pd.DataFrame:
    """Reads a table as text, so that a column looks the same in whichever file it comes.

    Args:
        columns: names of the columns, for a file without a header line.
        separator: of the cells; found out when None.
        na_values: what stands for a missing value besides nothing, ``NA``, ``NaN``, ``null`` and the like.
        num_rows: read so many rows at most.

    Returns:
        Columns of text without blanks around it, NaN where a value is missing.

    Raises:
        DataError: no such file, empty, no text, or rows of unequal length.
    """
    path = Path(path).expanduser()
    separator, cells = first_cells(path, separator)
    check_first_line(path, cells, columns)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                path,
                sep=separator,
                header=0 if columns is None else None,
                names=columns,
                index_col=False,
                dtype=str,
                skipinitialspace=True,
                na_values=[*na_values, ""],
                nrows=num_rows,
                encoding="utf-8-sig",
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path} is not a table as expected: {reason}. The cells seem to be separated by {separator!r}; "
            "set data.separator if they are not."
        ) from error
    table.columns = [str(name).strip() for name in table.columns]
    return table.apply(lambda column: column.str.strip())


def first_cells(path: str | Path, separator: str | None = None) -> tuple[str, list[str]]:
    """The separator and the cells of the first line."""
    lines = read_head(Path(path).expanduser())
    separator = separator or find_separator(lines)
    return separator, next(csv.reader(lines[:1], delimiter=separator, skipinitialspace=True))


def read_head(path: Path) -> list[str]:
    """The first lines of a text file, plain or ``.gz``."""
    if not path.is_file():
        folder = path.parent
        if not folder.is_dir():
            raise DataError(f"There is no file {path}, and no folder {folder}.")
        tables = sorted(entry.name for entry in folder.iterdir() if entry.suffix in SUFFIXES)
        raise DataError(f"There is no file {path}. {did_you_mean(path.name, tables)}")
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
        if b"\0" in head:
            raise DataError(f"{path} is no text but binary data; expected a table as text (CSV).")
        whole = head if len(head) < HEAD_BYTES else head[: head.rfind(b"\n") + 1] or head
        lines = whole.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise DataError(f"{path} is empty; expected a header line and rows.")
    return lines


def find_separator(lines: Sequence[str]) -> str:
    """The one that cuts the first lines into the same number of cells, and into most."""

    def fitness(separator: str) -> tuple[bool, int]:
        widths = [len(row) for row in csv.reader(lines[:20], delimiter=separator, skipinitialspace=True)]
        return len(set(widths)) == 1 and widths[0] > 1, widths[0]

    return max(SEPARATORS, key=fitness)


def check_first_line(path: Path, cells: Sequence[str], columns: Sequence[str] | None) -> None:
    if columns is not None and len(cells) != len(columns):
        raise DataError(
            f"{path} has {len(cells)} columns (the first line begins with {', '.join(cells[:3])}), but "
            f"data.columns names {len(columns)}. Name each, or leave data.columns out if there is a header line."
        )
    names = [name.strip() for name in (cells if columns is None else columns)]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: two columns are named {', '.join(map(repr, twice))}; rename one.")


def to_numbers(column: pd.Series) -> pd.Series:
    """Text as float64: NaN where there is no finite number."""
    return pd.to_numeric(column, errors="coerce").astype("float64").replace([np.inf, -np.inf], np.nan)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def missing_columns(table: pd.DataFrame, wanted: Sequence[str], path: str | Path) -> list[str]:
    """A problem for each wanted column that the table lacks; one for all if it is another table altogether."""
    missing = [name for name in wanted if name not in table.columns]
    if len(missing) > FEW_COLUMNS:
        return [f"{path} lacks {len(missing)} columns: {listed(missing)}. It has {listed(table.columns)}."]
    return [f"{path} has no column {name!r}. {did_you_mean(name, table.columns)}" for name in missing]


def listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:10])) + (" …" if len(names) > 10 else "")


def number_columns(
    table: pd.DataFrame, names: Sequence[str], path: str | Path, missing_allowed: bool = False
) -> np.ndarray:
    """Some columns as float64 ``(N, F)``.

    Raises:
        DataError: a column is not there, or holds something else than numbers; row and value are named.
    """
    problems = missing_columns(table, names, path)
    if problems:
        raise DataError("\n".join(problems))
    numbers = np.empty((len(table), len(names)))
    for position, name in enumerate(names):
        numbers[:, position] = values = to_numbers(table[name]).to_numpy()
        bad = np.isnan(values) & (table[name].notna().to_numpy() | (not missing_allowed))
        if bad.any():
            row = int(bad.argmax())
            came = "nothing" if pd.isna(table[name].iloc[row]) else repr(table[name].iloc[row])
            raise DataError(f"{path}, row {row + 1}: column {name!r} holds {came}, expected a number.")
    return numbers
