"""Readers of tables in text files: any separator, with or without a header line, every cell as text."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from runner.data.dropped import DroppedSamples
from runner.data.encoding import decoding_error
from runner.data.tables.dialect import Dialect, find_dialect, first_cells, open_table
from runner.data.tables.numbers import NumberFormat, is_number, plain_numbers, read_formats, to_numbers
from runner.errors import DataError
from runner.suggest import did_you_mean

__all__ = [
    "NA_SPELLINGS",
    "first_cells",
    "is_number",
    "missing_columns",
    "missing_spellings",
    "number_columns",
    "open_table",
    "read_cells",
    "read_table",
    "to_numbers",
    "written_plainly",
]

FEW_COLUMNS = 3
NA_SPELLINGS = frozenset(
    [
        "NA",
        "N/A",
        "n/a",
        "#NA",
        "#N/A",
        "<NA>",
        "NaN",
        "nan",
        "-NaN",
        "-nan",
        "null",
        "NULL",
        "None",
        "1.#IND",
        "-1.#IND",
        "1.#QNAN",
        "-1.#QNAN",
        "#N/A N/A",
    ]
)
"""Cells that count as missing, besides empty ones, in every column but a target of words.

The list is that of pandas.
"""


def read_table(
    path: str | Path,
    columns: Sequence[str] | None = None,
    separator: str | None = None,
    na_values: Sequence[str] = ("?",),
    num_rows: int | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    as_text: Sequence[str] = (),
    dropped: DroppedSamples | None = None,
    encoding: str | None = None,
) -> pd.DataFrame:
    """Reads a table as text with normalized numbers.

    ``1.234,5 €`` becomes ``1234.5``, ``12.5%`` becomes ``12.5``, and ``-`` is a missing number.

    Args:
        path: the file, plain or ``.gz``.
        columns: names of the columns, for a file without a header line.
        separator: separator of the cells; detected when None.
        na_values: strings for missing values besides an empty cell and ``NA_SPELLINGS``.
        num_rows: maximum number of rows.
        decimal: ``.`` or ``,``, or ``point`` or ``comma``; detected for each column when None.
        thousands: separator of groups of three digits: ``.``, ``,``, a blank, ``'`` or an empty string for
            none, or ``point``, ``comma``, ``space``, ``apostrophe`` or ``none``; detected for each column
            when None.
        as_text: columns whose values remain unchanged.
        dropped: receives rows that repeat the header line.
        encoding: of the text; detected when None.

    Returns:
        Columns of text without surrounding blanks, NaN where a value is missing.

    Raises:
        DataError: the file is missing, empty or binary, rows have unequal lengths, or numbers are ambiguous.
    """
    table = read_cells(path, columns, separator, na_values, num_rows, dropped=dropped, encoding=encoding)
    numbers = table.drop(columns=[name for name in as_text if name in table.columns])
    return written_plainly(table, read_formats(numbers, path, decimal, thousands))


def written_plainly(table: pd.DataFrame, formats: Mapping[str, NumberFormat]) -> pd.DataFrame:
    """Rewrite the columns with a number format as plain numbers, in place."""
    for name, form in formats.items():
        table[name] = plain_numbers(table[name], form)
    return table


def read_cells(
    path: str | Path,
    columns: Sequence[str] | None = None,
    separator: str | None = None,
    na_values: Sequence[str] = ("?",),
    num_rows: int | None = None,
    raw: Sequence[str] = (),
    dropped: DroppedSamples | None = None,
    encoding: str | None = None,
) -> pd.DataFrame:
    """Reads a table as text without changing numbers.

    Args:
        path: the file, plain or ``.gz``.
        columns: names of the columns, for a file without a header line.
        separator: separator of the cells; detected when None.
        na_values: strings for missing values besides an empty cell and ``NA_SPELLINGS``.
        num_rows: maximum number of rows.
        raw: columns in which no value counts as missing, not even an empty cell.
        dropped: receives rows that repeat the header line.
        encoding: of the text; detected when None.

    Raises:
        DataError: the file is missing, empty or binary, or rows have unequal lengths.
    """
    path = Path(path).expanduser()
    dialect = find_dialect(path, separator, encoding=encoding)
    cells = next(csv.reader(dialect.head[:1], delimiter=dialect.separator, skipinitialspace=True))
    check_first_line(path, cells, columns)
    table = raw_cells(path, dialect, columns, num_rows)
    if num_rows is None and len(table) and (table.iloc[:, -1] == "").any():
        check_widths(path, dialect, table.shape[1])
    table.columns = [str(name).strip() for name in table.columns]
    table = table.apply(lambda column: column.str.strip())
    table = without_repeated_headers(table, path, dropped)
    missing = missing_spellings(na_values) | NA_SPELLINGS
    for name in table.columns:
        if name not in raw:
            table[name] = table[name].where(~table[name].isin(missing))
    return table


def raw_cells(
    path: Path, dialect: Dialect, columns: Sequence[str] | None, num_rows: int | None
) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path,
                sep=dialect.separator,
                header=0 if columns is None else None,
                names=None if columns is None else list(columns),
                index_col=False,
                dtype=str,
                skipinitialspace=True,
                keep_default_na=False,
                na_filter=False,
                nrows=num_rows,
                encoding=dialect.encoding,
                skiprows=dialect.num_skipped_lines,
            )
    except UnicodeDecodeError as error:
        raise decoding_error(path, dialect.encoding, error, "after its first lines") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path} is not a table as expected: {reason}. The cells seem to be separated by "
            f"{dialect.separator!r}; set data.separator if they are not."
        ) from error


def check_widths(path: Path, dialect: Dialect, num_columns: int) -> None:
    """Reject rows with fewer cells than the table has columns; pandas would fill them with missing values.

    Raises:
        DataError: a row is too short.
    """
    file, separator = open_table(path, dialect.separator, dialect.encoding)
    with file:
        for row in csv.reader(file, delimiter=separator, skipinitialspace=True):
            if len(row) < num_columns and any(cell.strip() for cell in row):
                raise DataError(
                    f"{path} is not a table as expected: the row that begins with {', '.join(row[:3])!r} "
                    f"has {len(row)} cells, the first line {num_columns}. Complete or remove it; set "
                    f"data.separator if it is not {separator!r}."
                )


def missing_spellings(na_values: Sequence[str]) -> set[str]:
    """Return the cells that are missing values by ``data.na_values``, and the empty cell.

    A number also matches its other spelling: ``-999`` and ``-999.0``.
    """
    spellings = {"", *na_values}
    for text in na_values:
        try:
            number = float(text)
        except ValueError:
            continue
        spellings |= {str(number)} | ({str(int(number))} if number.is_integer() else set())
    return spellings


def without_repeated_headers(table: pd.DataFrame, path: Path, dropped: DroppedSamples | None) -> pd.DataFrame:
    """Drop rows that repeat the header line, as in concatenated files."""
    repeats = np.ones(len(table), dtype=bool)
    for name in table.columns:
        if not repeats.any():
            return table
        repeats &= (table[name] == name).to_numpy()
    if dropped is not None:
        rows = [f"row {row + 1}" for row in np.flatnonzero(repeats)[:3]]
        dropped.add("rows", int(repeats.sum()), "they repeat the header line", len(table), path, rows)
    return table[~repeats]


def check_first_line(path: Path, cells: Sequence[str], columns: Sequence[str] | None) -> None:
    if columns is not None and len(cells) != len(columns):
        raise DataError(
            f"{path} has {len(cells)} columns (the first line begins with {', '.join(cells[:3])}), but "
            f"data.columns names {len(columns)}. Name each, or leave data.columns out if there is a header "
            "line."
        )
    names = [name.strip() for name in (cells if columns is None else columns)]
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise DataError(f"{path}: two columns are named {', '.join(map(repr, repeated))}; rename one.")


def missing_columns(table: pd.DataFrame, wanted: Sequence[str], path: str | Path) -> list[str]:
    """Return a problem for each wanted column that the table lacks, or one for all if there are many."""
    missing = [name for name in wanted if name not in table.columns]
    if len(missing) > FEW_COLUMNS:
        return [f"{path} lacks {len(missing)} columns: {listed(missing)}. It has {listed(table.columns)}."]
    return [f"{path} has no column {name!r}. {did_you_mean(name, table.columns)}" for name in missing]


def listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(map(repr, names[:10])) + (" …" if len(names) > 10 else "")


def number_columns(
    table: pd.DataFrame, names: Sequence[str], path: str | Path, missing_allowed: bool = False
) -> np.ndarray:
    """Return columns as float64 ``(N, F)``.

    Raises:
        DataError: a column is missing, or a value is not a number; the message names its row.
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
            value = "nothing" if pd.isna(table[name].iloc[row]) else repr(table[name].iloc[row])
            raise DataError(f"{path}, row {row + 1}: column {name!r} holds {value}, expected a number.")
    return numbers
