"""The role of each column of a table, and whether the first line names the columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from runner.data.tables.dates import date_problem, find_date_format, is_compact
from runner.data.tables.file import to_numbers
from runner.data.tables.numbers import is_number
from runner.suggest import did_you_mean

__all__ = [
    "ColumnRoles",
    "assign_roles",
    "column_problems",
    "header_problem",
    "is_header",
    "is_numeric",
    "lost_digits",
    "odd_words",
]

FEW_NAMES = 3
YEARS = range(1900, 2101)


def is_header(cells: Sequence[str], columns: Sequence[str], needed: Sequence[str]) -> bool:
    """Return whether the first line of a file is a header with the names in ``data.columns``.

    Args:
        cells: the cells of the first line.
        columns: names of all columns.
        needed: names of the feature columns.
    """
    names = {cell.strip() for cell in cells}
    return names <= set(columns) or names >= set(needed)


def header_problem(table: pd.DataFrame, path: str, target_is_missing: bool) -> str:
    """Return a problem if the first line looks like data and would be lost as a header; empty otherwise."""
    names = [str(name) for name in table.columns]
    numbers = [name for name in names if is_number(name)]
    if not numbers or not (target_is_missing or looks_like_data(table, names, numbers)):
        return ""
    return (
        f"Its first line ({', '.join(names[:FEW_NAMES])}{', …' if len(names) > FEW_NAMES else ''}) looks "
        "like data: if the file has no header line, name the columns with data.columns=[…]; otherwise give "
        "the columns names that are words."
    )


def looks_like_data(table: pd.DataFrame, names: Sequence[str], numbers: Sequence[str]) -> bool:
    """Return whether the names are a row of numbers; 0, 1, 2 … and years are common names in headers."""
    words = [name for name in names if name not in numbers]
    if words:
        return all((table[name] == name).any() for name in words)
    if not all(name.isdigit() for name in names):
        return True
    values = [int(name) for name in names]
    is_count = values == list(range(values[0], values[0] + len(values)))
    if len(names) <= FEW_NAMES and len(table) and all((table[name] == name).any() for name in names):
        return True
    return not (is_count or all(value in YEARS for value in values))


ALMOST_ALL = 0.9
LARGEST_EXACT = 2**53
GLANCE = 100  # values examined first, so that most columns of words are rejected cheaply


@dataclass
class ColumnRoles:
    """The roles of the input columns.

    Attributes:
        numeric, categorical: names, in the order of the file.
        dates: format of each column of dates.
        notes: notices for the user about the choice.
    """

    numeric: list[str] = field(default_factory=list)
    categorical: list[str] = field(default_factory=list)
    dates: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def is_numeric(column: pd.Series) -> bool:
    """Return whether every value that is not missing is a number."""
    values = column.dropna()
    return all(to_numbers(part).notna().all() for part in (values.iloc[:GLANCE], values))


def odd_words(column: pd.Series) -> pd.Series:
    """Return the few values of a numeric column that are no numbers; empty for a column of words."""
    values = column.dropna()
    if to_numbers(values.iloc[:GLANCE]).isna().mean() > 0.5:
        return values.iloc[:0]
    words = values[to_numbers(values).isna()]
    return words if len(words) < (1 - ALMOST_ALL) * len(values) else words.iloc[:0]


def is_row_number(column: pd.Series) -> bool:
    """Return whether the values number the rows: 1, 2, 3 and so on."""
    return len(column) > 2 and all(
        to_numbers(part).diff().iloc[1:].eq(1).all() for part in (column.iloc[:GLANCE], column)
    )


def assign_roles(
    table: pd.DataFrame,
    targets: Sequence[str],
    ignore: Sequence[str] = (),
    categorical: Sequence[str] = (),
    max_integer_categories: int = 0,
    dates: Sequence[str] | None = None,
    day_first: bool | None = None,
) -> ColumnRoles:
    """Assign a role to each column by its values: categorical, numeric or date.

    Args:
        table: all cells as text, NaN where a value is missing.
        targets: target columns, which have no role.
        ignore: columns to leave out.
        categorical: columns to treat as categories regardless of their content.
        max_integer_categories: integer columns with at most this number of distinct values are categories,
            too.
        dates: columns that may hold dates, also as numbers such as 20240131; all columns of words when None.
        day_first: whether ``01/02/2024`` is in February; see ``find_date_format``.
    """
    roles = ColumnRoles()
    for name in table.columns:
        column = table[name]
        if name in targets or name in ignore or column.isna().all():
            continue
        if is_row_number(column) and name not in categorical:
            if name.startswith("Unnamed: "):  # the index that pandas writes by default
                roles.notes.append("the column without a name numbers the rows: left out")
                continue
            roles.notes.append(
                f"column {name!r} numbers the rows: consider leaving it out with data.ignore=[{name}]"
            )
        may_be_date = name not in categorical and (
            name in dates if dates is not None else not is_numeric(column)
        )
        is_named = dates is not None and name in dates
        if may_be_date and (form := find_date_format(column, day_first, is_named)):
            roles.dates[name] = form
        elif name in categorical or not is_numeric(column) or is_small_set(column, max_integer_categories):
            roles.categorical.append(name)
        else:
            roles.numeric.append(name)
            if dates is None and is_compact(column):
                roles.notes.append(
                    f"column {name!r} holds numbers such as {column.dropna().iloc[0]}, which may be dates; "
                    f"data.dates=[{name}] reads them as dates"
                )
    return roles


def is_small_set(column: pd.Series, most: int) -> bool:
    values = to_numbers(column).dropna()
    return most > 0 and values.nunique() <= most and bool((values % 1 == 0).all())


def column_problems(
    table: pd.DataFrame,
    targets: Sequence[str],
    ignore: Sequence[str],
    categorical: Sequence[str],
    dates: Sequence[str] | None = None,
    day_first: bool | None = None,
) -> list[str]:
    """Return problems with the selected columns or their values, apart from the targets."""
    problems = [
        f"data.{option} names {name!r}, which is not a column. {did_you_mean(name, table.columns)}"
        for option, names in (("ignore", ignore), ("categorical", categorical), ("dates", dates or ()))
        for name in names
        if name not in table.columns
    ]
    features = [name for name in table.columns if name not in targets and name not in ignore]
    for name in features:
        column = table[name]
        if column.isna().all():
            problems.append(f"column {name!r} is empty in every row; leave it out with data.ignore=[{name}].")
        elif name not in categorical and len(words := odd_words(column)):
            problems.append(mixed_column(name, words))
        elif name not in categorical and (problem := lost_digits(column)):
            problems.append(problem)
        elif name not in categorical and (name in dates if dates is not None else not is_numeric(column)):
            problems += [problem] if (problem := date_problem(column, day_first)) else []
            if name in (dates or ()) and not problem and find_date_format(column, day_first, True) is None:
                problems.append(
                    f"data.dates names {name!r}, but its values such as {column.dropna().iloc[0]!r} are not "
                    "dates of one format."
                )
    if not features:
        problems.append("no column is left to predict from; a table needs one besides the target.")
    return problems


def lost_digits(column: pd.Series) -> str:
    """Return a problem if distinct integers above 2**53 are equal as float64; empty otherwise."""
    values = column.dropna()
    numbers = to_numbers(values)
    large = values[(numbers.abs() > LARGEST_EXACT) & values.str.match(r"^[+-]?\d+$")].drop_duplicates()
    pairs = large.groupby(to_numbers(large)).agg(list)
    equal = next((pair for pair in pairs if len(pair) > 1), None)
    if equal is None:
        return ""
    return (
        f"column {column.name!r} holds whole numbers above 2**53 that float64 cannot distinguish, such as "
        f"{equal[0]} and {equal[1]}. Subtract a constant from all of them, use a coarser unit (milliseconds "
        "instead of nanoseconds), or, for ids, leave the column out with "
        f"data.ignore=[{column.name}]."
    )


def mixed_column(name: str, words: pd.Series) -> str:
    """Return the problem of a numeric column in which a few values are words."""
    return (
        f"column {name!r} holds numbers except for {len(words)} values such as {words.iloc[0]!r} in row "
        f"{words.index[0] + 1}. Correct them, treat them as missing with "
        f"data.na_values=[{words.iloc[0]}], or treat the column as categorical with "
        f"data.categorical=[{name}]."
    )
