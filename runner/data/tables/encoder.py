"""Encoding of table rows as feature vectors. The fitted state is plain numbers and strings, so that a checkpoint with it
can be loaded with ``weights_only`` (scikit-learn's fitted transformers cannot)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from runner.data.standardize import Standardize, needs_float64
from runner.data.tables.dates import date_feature_names, parts_of, used_parts
from runner.data.tables.file import missing_columns, number_columns, to_numbers
from runner.errors import DataError

__all__ = ["TableEncoder"]

MISSING, OTHER = "(missing)", "(other)"


class TableEncoder:
    """Numbers as they are, categories one-hot, dates as numbers (see ``runner.data.tables.dates``).

    A missing number becomes the training rows' median, and where training rows miss some, a further feature
    tells. Missing is a category of its own. Categories too rare to learn share a slot, and those never seen go
    there too; where no training row used it, it does not exist and they are all zeros.

    Attributes:
        medians: by numeric column.
        indicators: numeric columns with a feature that tells when they are missing.
        slots: by categorical column: its words, ``(missing)`` and ``(other)``.
        dates: by column of dates: its format and parts. Each part has a median, too, after those of the numeric columns.
        is_float64: whether float32 would lose differences between the training rows.
    """

    def __init__(
        self,
        medians: dict[str, float],
        indicators: list[str],
        slots: dict[str, list[str]],
        dates: dict[str, dict[str, Any]] | None = None,
        is_float64: bool = False,
    ):
        self.is_float64 = is_float64
        self.dates = dates or {}
        self.medians = medians
        self.indicators = indicators
        self.slots = slots

    @classmethod
    def fitted(
        cls,
        table: pd.DataFrame,
        numeric: Sequence[str],
        categorical: Sequence[str],
        min_category_count: int = 1,
        max_categories: int = 50,
        dates: Mapping[str, str] | None = None,
        date_parts: Sequence[str] | None = None,
    ) -> TableEncoder:
        """Learns from the training rows.

        Args:
            min_category_count: categories of fewer rows are rare.
            max_categories: of a column; the less frequent ones are rare, too.
            dates: format of each column of dates.
            date_parts: what of them; see ``used_parts``.
        """
        used = {name: used_parts(table[name], form, date_parts) for name, form in (dates or {}).items()}
        kept = {name: {"format": dates[name], "parts": parts} for name, parts in used.items() if parts}
        numbers = {name: to_numbers(table[name]) for name in numeric} | with_parts(table, kept, "")
        medians = {name: float(np.nan_to_num(column.median())) for name, column in numbers.items()}
        indicators = [name for name, column in numbers.items() if column.isna().any()]
        slots = {name: slots_of(table[name], min_category_count, max_categories) for name in categorical}
        filled = [np.nan_to_num(column, nan=medians[name]) for name, column in numbers.items()]
        is_float64 = bool(filled) and needs_float64(torch.from_numpy(np.stack(filled, axis=1)))
        slots = {name: found for name, found in slots.items() if len(found) > 1}
        return cls(medians, indicators, slots, kept, is_float64)

    @property
    def columns(self) -> list[str]:
        """Columns that a table must have."""
        derived = self.derived
        return [*(name for name in self.medians if name not in derived), *self.dates, *self.slots]

    @property
    def derived(self) -> dict[str, str]:
        """The column of each date feature."""
        return {
            feature: name
            for name, date in self.dates.items()
            for feature in date_feature_names(name, date["parts"])
        }

    @property
    def feature_names(self) -> list[str]:
        indicators = [f"{name} is missing" for name in self.indicators]
        return [
            *self.medians,
            *indicators,
            *(f"{name}={slot}" for name in self.slots for slot in self.slots[name]),
        ]

    @property
    def feature_columns(self) -> list[str]:
        """The column that each feature is made of."""
        numbers = [self.derived.get(name, name) for name in (*self.medians, *self.indicators)]
        return [*numbers, *(name for name in self.slots for _ in self.slots[name])]

    def __call__(self, table: pd.DataFrame, path: str) -> Tensor:
        """Features ``(N, F)`` in the columns' own units: float32, or float64 where ``is_float64`` says so.

        Args:
            path: of the table, for messages.

        Raises:
            DataError: a column is not there, or a number is none.
        """
        problems = missing_columns(table, self.columns, path)
        if problems:
            raise DataError("\n".join(problems))
        if self.dates:
            table = table.assign(**with_parts(table, self.dates, path))
        numbers = number_columns(table, list(self.medians), path, missing_allowed=True)
        missing = np.isnan(numbers)
        filled = np.where(missing, np.array(list(self.medians.values())), numbers)
        positions = [list(self.medians).index(name) for name in self.indicators]
        one_hot = [one_hot_of(table[name], slots) for name, slots in self.slots.items()]
        features = np.concatenate(
            [filled, missing[:, positions], *one_hot],
            axis=1,
            dtype=np.float64 if self.is_float64 else np.float32,
        )
        return torch.from_numpy(features)

    def standardize(self, features: Tensor) -> Standardize:
        """For the numeric features; what is 0 or 1 stays so."""
        fitted = Standardize.fitted(features)
        is_number = torch.arange(features.shape[1]) < len(self.medians)
        return Standardize(
            torch.where(is_number, fitted.exact[0], 0.0),
            torch.where(is_number, fitted.exact[1], 1.0),
        )

    def state_dict(self) -> dict[str, Any]:
        found = {"medians": self.medians, "indicators": self.indicators, "slots": self.slots}
        optional = {"dates": self.dates, "is_float64": self.is_float64}
        return found | {name: value for name, value in optional.items() if value}


def with_parts(table: pd.DataFrame, dates: Mapping[str, dict[str, Any]], path: str) -> dict[str, pd.Series]:
    """The numbers of the columns of dates, by the name of the feature."""
    found = {}
    for name, date in dates.items():
        numbers = parts_of(table[name], date["format"], date["parts"], path)
        names = date_feature_names(name, date["parts"])
        found |= {feature: pd.Series(numbers[:, place], table.index) for place, feature in enumerate(names)}
    return found


def slots_of(column: pd.Series, min_count: int, most: int) -> list[str]:
    counts = column.value_counts()
    kept = counts[counts >= min_count].sort_index(kind="stable").nlargest(most, keep="first")
    slots = sorted(kept.index.tolist())
    if column.isna().any():
        slots.append(MISSING)
    if len(kept) < len(counts):
        slots.append(OTHER)
    return slots


def one_hot_of(column: pd.Series, slots: Sequence[str]) -> np.ndarray:
    """``(N, slots)``, all zeros where a value has no slot."""
    words = column.fillna(MISSING)
    known = words.where(words.isin(slots), OTHER)
    return np.stack([known.eq(slot).to_numpy() for slot in slots], axis=1)
