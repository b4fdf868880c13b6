"""Whether the first line of a table names its columns or is the first row."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from runner.data.tables.numbers import is_number

__all__ = ["header_problem", "is_header"]

FEW_NAMES = 3
YEARS = range(1900, 2101)


def is_header(cells: Sequence[str], columns: Sequence[str], needed: Sequence[str]) -> bool:
    """Whether the first line of a file repeats the names that ``data.columns`` gives.

    Args:
        needed: the columns of the features.
    """
    names = {cell.strip() for cell in cells}
    return names <= set(columns) or names >= set(needed)


def header_problem(table: pd.DataFrame, path: str, target_is_missing: bool) -> str:
    """A sentence if the first line looks like data; it would be lost as a row."""
    names = [str(name) for name in table.columns]
    numbers = [name for name in names if is_number(name)]
    if not numbers or not (target_is_missing or looks_like_data(table, names, numbers)):
        return ""
    return (
        f"Its first line ({', '.join(names[:FEW_NAMES])}{', …' if len(names) > FEW_NAMES else ''}) looks like data: if there is no header "
        "line, name the columns with data.columns=[…]; otherwise give the columns names that are words."
    )


def looks_like_data(table: pd.DataFrame, names: Sequence[str], numbers: Sequence[str]) -> bool:
    """A row of numbers. Names such as 0, 1, 2 … and years do occur in headers."""
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
