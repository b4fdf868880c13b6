"""Times of the steps of a series: parsing, order, duplicates, and gaps between regular steps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from runner.data.tables.file import to_numbers
from runner.errors import DataError

__all__ = ["Gaps", "best_reading", "check_order", "find_gaps", "read_times", "readings_of", "text_of"]

DATE_NUMBERS = {8: "%Y%m%d", 6: "%Y%m"}
"""Formats of dates that are written as numbers, by their length."""

READINGS: dict[str, dict[str, Any]] = {
    "ISO 8601": {"format": "ISO8601"},
    "month first": {},
    "day first": {"dayfirst": True},
    "mixed": {"format": "mixed"},
}

ID_NAMES = ("unique_id", "item_id", "series_id", "id", "series", "item")

MOST_ID_CANDIDATES = 6
TOLERANCE = 0.1
REGULAR_SHARE = 0.5
DAY_S = 86_400
LONGEST_BREAK_OF_TRADING_DAYS = 5


@dataclass(frozen=True)
class Gaps:
    """Missing steps of one series.

    Attributes:
        rows: rows directly after a gap.
        missing: number of missing steps before each of these rows.
        is_regular: whether most steps have the same length; irregular series are not searched for gaps.
    """

    rows: np.ndarray
    missing: np.ndarray
    is_regular: bool = True


def read_times(column: pd.Series, parts: Sequence[tuple[int, int]] = ()) -> np.ndarray | None:
    """Convert cells to ``datetime64`` in UTC or to numbers, ``(T,)``; None if some cells are neither.

    Args:
        column: text without missing cells.
        parts: first and last row + 1 of each series; one series of all rows by default.
    """
    return best_reading(readings_of(column), parts)


def readings_of(column: pd.Series) -> dict[str, np.ndarray]:
    """Return all readings of cells as numbers or times: the day may precede or follow the month."""
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().all():
        dates = dates_of_numbers(column)
        return {"numbers": numbers.to_numpy()} if dates is None else {"dates": dates}
    readings: dict[str, np.ndarray] = {}
    for name, options in READINGS.items():
        if name == "mixed" and readings:
            break
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                times = pd.to_datetime(column, utc=True, **options)
        except (ValueError, TypeError, OverflowError):
            continue
        if times.notna().all():
            readings[name] = times.dt.tz_localize(None).to_numpy()
    return readings


def best_reading(
    readings: Mapping[str, np.ndarray], parts: Sequence[tuple[int, int]] = ()
) -> np.ndarray | None:
    """Return the reading with most steps in order, and among these with most steps of the same length."""
    if len(readings) < 2:
        return next(iter(readings.values()), None)

    def faults(values: np.ndarray) -> tuple[int, int]:
        backward = uneven = 0
        for begin, end in parts or [(0, len(values))]:
            steps = np.diff(ticks(values[begin:end]))
            if len(steps):
                backward += int((steps < 0).sum())
                uneven += int((steps != np.median(steps)).sum())
        return backward, uneven

    return min(readings.values(), key=faults)


def dates_of_numbers(column: pd.Series) -> np.ndarray | None:
    """Read numbers such as ``20240131`` and ``202401`` as dates; None if they are not dates."""
    lengths = set(column.str.len())
    length = lengths.pop()
    if lengths or length not in DATE_NUMBERS or not column.str.match("(19|20)[0-9]+$").all():
        return None
    dates = pd.to_datetime(column, format=DATE_NUMBERS[length], errors="coerce")
    return dates.to_numpy() if dates.notna().all() else None


def ticks(values: np.ndarray) -> np.ndarray:
    """Return times as numbers whose differences are exact."""
    return values.astype(np.int64) if values.dtype.kind == "M" else values


def check_order(
    values: np.ndarray,
    name: str,
    path: Path,
    table: pd.DataFrame | None = None,
    series: str = "",
    id_column: str | None = None,
    first_row: int = 0,
) -> None:
    """Reject steps that are not in the order of time.

    Args:
        values: times of one series, from ``read_times``.
        name: name of the time column.
        path: the file, for messages.
        table: the rows of these times, in the same order; searched for a column that distinguishes several
            series.
        series: id of the series, if the file has several.
        id_column: the column of ids, if the file has several series.
        first_row: first row of these times in the file.

    Raises:
        DataError: the steps are not in the order of time, or a time occurs twice.
    """
    steps = np.diff(ticks(values))
    if not (steps <= 0).any():
        return
    where = f"{path}, series {series!r}," if series else f"{path}"
    order = np.argsort(values, kind="stable")
    same = np.flatnonzero(np.diff(ticks(values[order])) == 0)
    if len(same):
        rows = sorted(order[same[0] : same[0] + 2].tolist())
        column = None if table is None else explaining_column(table, values, name, id_column)
        pair = None if table is None or column or id_column else explaining_pair(table, values, name)
        raise DataError(
            f"{where} has times that occur more than once: {len(same)} of {len(values)} rows repeat a time "
            f"of {name!r}, for example {text_of(values[rows[0]])} in rows "
            f"{row_of(table, rows[0], first_row)} and {row_of(table, rows[1], first_row)}. "
            f"{remedy(column, id_column, pair)}"
        )
    row = int(np.flatnonzero(steps < 0)[0]) + 1
    column = None if table is None else ordering_column(table, values, name, id_column)
    hint = f" If there are several series in one file, set data.id_column={column}." if column else ""
    keys = f"{id_column!r} and {name!r}" if id_column else repr(name)
    raise DataError(
        f"{where} is not in the order of time: row {row_of(table, row, first_row)} ({text_of(values[row])}) "
        f"comes after {text_of(values[row - 1])}. Sort it by {keys} first.{hint}"
    )


def remedy(column: str | None, id_column: str | None, pair: tuple[str, str] | None = None) -> str:
    if column is not None and id_column is None:
        return (
            f"The column {column!r} distinguishes them. For several series in one file: set "
            f"data.id_column={column}"
        )
    if column is not None:
        return f"The column {column!r} distinguishes them: join it with {id_column!r} into one column of ids."
    if pair is not None:
        return (
            f"The columns {pair[0]!r} and {pair[1]!r} together distinguish them. For several series in one "
            "file: join both into one column of ids and set data.id_column to it."
        )
    several = "" if id_column else (
        "For several series in one file, set data.id_column to the column that distinguishes them. "
    )  # fmt: skip
    return (
        f"{several}Otherwise remove the repeated rows, or, for local times when clocks are set back, add "
        "the UTC offset."
    )


def row_of(table: pd.DataFrame | None, row: int, first_row: int) -> int:
    """Return the number of a row in the file, from 1."""
    return first_row + row + 1 if table is None else int(table.index[row]) + 1


def text_of(value: Any) -> str:
    """Return a time as shown in messages."""
    return str(pd.Timestamp(value)) if isinstance(value, np.datetime64) else f"{value.item()}"


def candidates(table: pd.DataFrame, time: str, id_column: str | None) -> list[str]:
    """Return columns of text or whole numbers with few distinct values, the most likely ids first."""
    ranks: dict[str, tuple[int, bool, int]] = {}
    for name in map(str, table):
        column = table[name]
        count = column.nunique()
        if name in (time, id_column) or column.isna().any() or not 1 < count <= len(column) // 2:
            continue
        numbers = to_numbers(column)
        is_number = bool(numbers.notna().all())
        if is_number and not (numbers % 1 == 0).all():
            continue
        known = ID_NAMES.index(name.lower()) if name.lower() in ID_NAMES else len(ID_NAMES)
        ranks[name] = (known, is_number, count)
    return sorted(ranks, key=lambda name: ranks[name])


def explaining_column(
    table: pd.DataFrame, values: np.ndarray, time: str, id_column: str | None
) -> str | None:
    """Return a column each of whose values occurs at most once at each time."""
    for name in candidates(table, time, id_column):
        pairs = pd.DataFrame({"id": table[name].to_numpy(), "time": values})
        if not pairs.duplicated().any():
            return name
    return None


def explaining_pair(table: pd.DataFrame, values: np.ndarray, time: str) -> tuple[str, str] | None:
    """Return two columns each of whose pairs of values occurs at most once at each time."""
    for first, second in combinations(candidates(table, time, None)[:MOST_ID_CANDIDATES], 2):
        if not table[[first, second]].assign(**{"the time": values}).duplicated().any():
            return first, second
    return None


def ordering_column(table: pd.DataFrame, values: np.ndarray, time: str, id_column: str | None) -> str | None:
    """Return a column of words such that the rows of each word are in the order of time."""
    for name in candidates(table, time, id_column):
        if to_numbers(table[name]).notna().any() and name.lower() not in ID_NAMES:
            continue
        groups = table.groupby(name, sort=False).indices.values()
        if all((np.diff(ticks(values[np.sort(rows)])) > 0).all() for rows in groups):
            return name
    return None


def find_gaps(values: np.ndarray) -> Gaps:
    """Find gaps between steps of otherwise equal length; months count as equal, and so do trading days."""
    nothing = np.zeros(0, dtype=np.int64)
    if len(values) < 3:
        return Gaps(nothing, nothing)
    units = units_of(values)
    steps = np.diff(units).astype(np.float64)
    if is_trading_days(values):
        rows = np.flatnonzero(steps > LONGEST_BREAK_OF_TRADING_DAYS) + 1
        days = values.astype("datetime64[D]")
        return Gaps(rows, np.busday_count(days[rows - 1], days[rows]) - 1)
    step = float(np.median(steps))
    if step <= 0 or (np.abs(steps - step) <= TOLERANCE * step).mean() < REGULAR_SHARE:
        return Gaps(nothing, nothing, is_regular=False)
    rows = np.flatnonzero(steps > 1.5 * step) + 1
    return Gaps(rows, np.maximum(np.round(steps[rows - 1] / step).astype(np.int64) - 1, 1))


def units_of(values: np.ndarray) -> np.ndarray:
    """Return times as numbers in the unit of the steps.

    Months if the steps are months or longer, days for whole days, otherwise ticks or the numbers themselves.
    """
    if values.dtype.kind != "M":
        return values
    days = values.astype("datetime64[D]")
    if np.median(np.diff(days).astype(np.int64)) >= 27:
        months = days.astype("datetime64[M]").astype(np.int64)
        if (np.diff(months) > 0).all():
            return months
    return days.astype(np.int64) if (days == values).all() else values.astype(np.int64)


def is_trading_days(values: np.ndarray) -> bool:
    """Return whether no date is on a weekend and most dates are on consecutive days."""
    if values.dtype.kind != "M":
        return False
    days = values.astype("datetime64[D]")
    long_enough = len(days) > LONGEST_BREAK_OF_TRADING_DAYS
    return (
        long_enough
        and np.median(np.diff(values) / np.timedelta64(DAY_S, "s")) == 1
        and bool(np.is_busday(days).all())
    )
