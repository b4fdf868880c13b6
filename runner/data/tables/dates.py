"""Conversion of date columns to numbers: year, month, day, weekday and hour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from runner.errors import DataError

__all__ = [
    "DEFAULT_PARTS",
    "date_feature_names",
    "date_problem",
    "find_date_format",
    "is_compact",
    "parse_dates",
    "parts_of",
    "used_parts",
]

DEFAULT_PARTS = ("year", "month", "day", "weekday")
GLANCE = 100
ISO = "ISO8601"
DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d/%m/%y", "%d-%m-%y")
MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y", "%m-%d-%y")
OTHERS = (
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d.%m.%y",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%Y.%m.%d",
    "%d/%b/%Y",
    "%A, %d %B %Y",
    "%A, %B %d, %Y",
    "%a, %d %b %Y",
)
MONTHS = ("%Y-%m", "%Y/%m", "%m/%Y", "%b %Y", "%B %Y", "%b-%Y", "%b-%y")
"""Formats of months, which have neither day nor time."""

COMPACT = "%Y%m%d"
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
SECONDS_A_DAY = 86_400


def parse_dates(column: pd.Series, form: str) -> pd.Series:
    """Convert text to local times without an offset; NaT where a value is not a date in this format.

    Args:
        column: values as text, NaN where one is missing.
        form: a format of ``strptime``, or ``ISO8601``.
    """
    text = column.astype("object")
    if form == ISO:
        text = text.where(text.isna() | text.astype(str).str.match(r"^\d{4}-\d{1,2}-\d{1,2}"))
        text = text.str.replace(r"\s*(?:Z|[+-]\d{2}:?\d{2})$", "", regex=True).where(
            text.str.contains(":", na=False), text
        )
    return pd.to_datetime(text, format=form, errors="coerce")


def fits(column: pd.Series, form: str) -> bool:
    return all(parse_dates(part, form).notna().all() for part in (column.iloc[:GLANCE], column))


def is_compact(column: pd.Series) -> bool:
    """Return whether all values are numbers such as 20240131, which are dates too."""
    values = column.dropna()
    parts = (values.iloc[:GLANCE], values)
    return len(values) > 0 and all(
        part.str.match(r"^(?:19|20)\d{6}$").all() and fits(part, COMPACT) for part in parts
    )


def candidates(column: pd.Series, may_be_compact: bool = False) -> list[str]:
    """Return all formats that fit every value."""
    values = column.dropna()
    if may_be_compact and is_compact(column):
        return [COMPACT]
    if values.empty or not values.iloc[:GLANCE].str.match(r"^[\w.,:/+ -]{6,40}$").all():
        return []
    if (
        not values.iloc[:GLANCE].str.contains(r"\d").all()
        or not values.iloc[:GLANCE].str.contains(r"[-/. ]").all()
    ):
        return []
    if fits(values, ISO):
        return [ISO]
    num_colons = values.iloc[0].count(":")
    times = [time for time in TIMES if time.count(":") == num_colons]
    forms = [form + time for form in (*OTHERS, *DAY_FIRST, *MONTH_FIRST) for time in times]
    forms += [] if num_colons else MONTHS
    return [form for form in forms if fits(values, form)]


def find_date_format(
    column: pd.Series, day_first: bool | None = None, may_be_compact: bool = False
) -> str | None:
    """Return the format of a column of dates; None if it holds something else or the format is ambiguous.

    Args:
        column: values as text, NaN where one is missing.
        day_first: whether ``01/02/2024`` is in February; detected when None.
        may_be_compact: whether numbers such as 20240131 are dates.
    """
    forms = candidates(column, may_be_compact)
    if day_first is not None and len(forms) > 1:
        wrong = MONTH_FIRST if day_first else DAY_FIRST
        forms = [form for form in forms if not form.startswith(wrong)] or forms
    if len(forms) > 1 and two_orders(column, forms):
        return None
    return forms[0] if forms else None


def two_orders(column: pd.Series, forms: Sequence[str]) -> bool:
    """Return whether reading the day first and the month first gives different dates."""
    first, *others = (parse_dates(column.dropna(), form) for form in forms)
    return any(not first.equals(other) for other in others)


def date_problem(column: pd.Series, day_first: bool | None = None) -> str:
    """Return a problem if the format of a column of dates is ambiguous; empty otherwise."""
    forms = candidates(column)
    if len(forms) < 2 or find_date_format(column, day_first) is not None:
        return ""
    value = next(
        text for text in column.dropna()
        if len({parse_dates(pd.Series([text]), form).iloc[0] for form in forms}) > 1
    )  # fmt: skip
    dates = [parse_dates(pd.Series([value]), form).iloc[0].date() for form in forms[:2]]
    return (
        f"column {column.name!r} can be read in two ways: {value!r} is {dates[0]} with the day first and "
        f"{dates[1]} with the month first. Choose one with data.day_first=true or data.day_first=false."
    )


def used_parts(column: pd.Series, form: str, wanted: Sequence[str] | None) -> list[str]:
    """Return the parts of the dates that differ between the training rows.

    Args:
        column: the training rows.
        form: format of the dates.
        wanted: names of parts; ``DEFAULT_PARTS`` when None, and ``hour`` if the values have times. Months
            have ``year`` and ``month``.
    """
    if wanted is None and form in MONTHS:
        wanted = ["year", "month"]
    if wanted is None:
        has_times = (
            parse_dates(column, form).dt.normalize().ne(parse_dates(column, form)).where(column.notna()).any()
        )
        wanted = [*DEFAULT_PARTS, *(["hour"] if has_times else [])]
    numbers = parts_of(column, form, wanted)
    return [
        part
        for position, part in enumerate(wanted)
        if len(np.unique(numbers[~np.isnan(numbers[:, position]), position])) > 1
    ]


def parts_of(column: pd.Series, form: str, parts: Sequence[str], path: str = "") -> np.ndarray:
    """Return the parts of dates as float64 ``(N, parts)``, NaN where the date is missing.

    Raises:
        DataError: a value is not a date in this format.
    """
    dates = parse_dates(column, form)
    if (bad := (dates.isna() & column.notna()).to_numpy()).any():
        iso = parse_dates(column, ISO)
        if (iso.isna() & column.notna()).any():
            row = int(bad.argmax())
            raise DataError(
                f"{path}, row {row + 1}: column {column.name!r} holds {column.iloc[row]!r}, expected a date "
                f"such as {pd.Timestamp(2024, 12, 31).strftime('%Y-%m-%d' if form == ISO else form)}."
            )
        dates = iso
    values: dict[str, Any] = {
        part: getattr(dates.dt, part) for part in parts if part != "days"
    }  # fmt: skip
    if "days" in parts:
        values["days"] = (dates - pd.Timestamp(1970, 1, 1)).dt.total_seconds() / SECONDS_A_DAY
    return (
        np.stack([values[part].astype("float64").to_numpy() for part in parts], axis=1)
        if parts
        else np.empty((len(column), 0))
    )


def date_feature_names(name: str, parts: Sequence[str]) -> list[str]:
    """Return the feature names of a column of dates."""
    return [f"{name} {part}" for part in parts]
