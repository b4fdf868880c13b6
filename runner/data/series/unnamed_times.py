"""Tables of series without ``data.time_column``.

Columns that hold times nonetheless, and missing header lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from runner.data.series.order import best_reading, check_order, readings_of
from runner.data.tables.column import header_problem
from runner.data.tables.file import to_numbers
from runner.data.tables.numbers import is_number
from runner.errors import DataError

__all__ = ["check_unnamed_times", "reject_missing_header"]

FEWEST_ROWS = 10
GLANCE = 20


def check_unnamed_times(
    table: pd.DataFrame,
    features: Sequence[str],
    targets: Sequence[str],
    path: Path,
    parts: Sequence[tuple[str, int, int]] = (),
    id_column: str | None = None,
) -> list[str]:
    """Checks the order of the steps by the first column of timestamps, if no time column is named.

    Args:
        table: cells as text, the rows of each series one after another.
        features: columns of numbers that are read.
        targets: columns to forecast.
        path: the file, for messages.
        parts: id, first row and last row + 1 of each series; empty for a file of one series.
        id_column: column with the ids of the series.

    Returns:
        Notes for the user.

    Raises:
        DataError: the timestamps are not in order, or a time occurs twice.
    """
    others = [name for name in map(str, table) if name not in features and name != id_column]
    spans = [(begin, end) for _, begin, end in parts] or [(0, len(table))]
    for name in others:
        times = timestamps_of(table[name], spans)
        if times is None:
            continue
        names = [series for series, _, _ in parts] or [""]
        try:
            for series, (begin, end) in zip(names, spans, strict=True):
                check_order(times[begin:end], name, path, table.iloc[begin:end], series, id_column)
        except DataError as error:
            raise DataError(
                f"{error} If {name!r} does not hold the times of the steps, name the columns to read with "
                "data.features=[…]."
            ) from error
        return [
            f"the steps are in the order of {name!r}; set data.time_column={name} to find gaps in it as well"
        ]
    counters = [name for name in features if name not in targets and is_shuffled_counter(table[name], spans)]
    return [
        f"column {name!r} holds evenly spaced numbers that are not in order and is read as a feature. If it "
        "is the "
        f"time of the steps, sort the file by it and set data.time_column={name}"
        for name in counters[:1]
    ]


def timestamps_of(column: pd.Series, spans: Sequence[tuple[int, int]]) -> np.ndarray | None:
    """Returns the times of a column of text, ``(T,)``; None if it has other cells."""
    if column.isna().any() or not readings_of(column.iloc[:GLANCE]):
        return None
    times = best_reading(readings_of(column), spans)
    return times if times is not None and times.dtype.kind == "M" else None


def is_shuffled_counter(column: pd.Series, spans: Sequence[tuple[int, int]]) -> bool:
    """Returns whether the numbers of each series are evenly spaced, once they are sorted, but not sorted."""
    numbers = to_numbers(column).to_numpy()
    if np.isnan(numbers).any() or min(end - begin for begin, end in spans) < FEWEST_ROWS:
        return False
    steps = [np.diff(np.sort(numbers[begin:end])) for begin, end in spans]
    is_even = all(part[0] > 0 and np.allclose(part, part[0]) for part in steps)
    return is_even and any((np.diff(numbers[begin:end]) < 0).any() for begin, end in spans)


def reject_missing_header(table: pd.DataFrame, path: Path) -> None:
    """Rejects a first line that looks like a step, which would be lost as a header.

    Raises:
        DataError: the names of the columns are numbers, or numbers and times.
    """
    names = [str(name) for name in table]
    words = [name for name in names if not is_number(name)]
    has_times = any(any(map(str.isdigit, name)) and readings_of(pd.Series([name])) for name in words)
    problem = header_problem(table, str(path), target_is_missing=has_times)
    if problem:
        fault = problem.partition(" looks like data")[0]
        raise DataError(
            f"{path}: {fault} looks like data. Add a header line that names the columns, in words."
        )
