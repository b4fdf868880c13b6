"""Whether any feature of a table can tell rows apart, and if not, why."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from runner.data.tables.encoder import TableEncoder
from runner.data.tables.file import to_numbers

__all__ = ["no_feature_problem"]

MAX_NAMED_CAUSES = 5


def no_feature_problem(
    table: pd.DataFrame, encoder: TableEncoder, features: Sequence[str], min_category_count: int
) -> str:
    """A sentence if no feature differs between rows; empty otherwise.

    Args:
        table: the rows that the encoder was fitted on.
        features: names of the columns.
    """
    if encoder.slots or encoder.indicators or encoder.dates:
        return ""
    numeric = [name for name in features if name in encoder.medians]
    if any(to_numbers(table[name]).nunique() > 1 for name in numeric):
        return ""
    causes = [cause_of(table[name], min_category_count) for name in features]
    more = f"; and {len(causes) - MAX_NAMED_CAUSES} more" if len(causes) > MAX_NAMED_CAUSES else ""
    return (
        f"no feature is left to learn from: {'; '.join(causes[:MAX_NAMED_CAUSES]) or 'the table has no other column'}{more}. Add a "
        "column that differs between rows; for words, lower data.min_category_count."
    )


def cause_of(column: pd.Series, min_category_count: int) -> str:
    values = column.dropna()
    counts = values.value_counts()
    if len(counts) == 0:
        return f"column {column.name!r} is empty in every training row"
    if len(counts) == 1:
        return f"column {column.name!r} is {counts.index[0]!r} in every training row"
    return (
        f"column {column.name!r} holds {len(counts)} different words in {len(values)} training rows, such as "
        f"{values.iloc[0]!r}, none of them in {min_category_count} rows"
    )
