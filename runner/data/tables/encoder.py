"""Encoding of table rows as feature vectors, from statistics of the training rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from runner.data.standardize import Standardize, needs_float64
from runner.data.tables.column import ColumnRoles, assign_roles
from runner.data.tables.dates import date_feature_names, parts_of, used_parts
from runner.data.tables.file import missing_columns, number_columns, to_numbers
from runner.data.tables.layout import TableLayout
from runner.data.tables.numbers import NumberFormat
from runner.data.tables.source import TableSource
from runner.data.tables.target import class_names_of, encode_targets, label_notes
from runner.errors import DataError

__all__ = [
    "EncoderLimits",
    "TableEncoder",
    "TableFit",
    "empty_problem",
    "fit_encoder",
    "learn",
    "no_feature_problem",
]

MAX_NAMED_CAUSES = 5


class EncoderLimits(TypedDict):
    """Options of the encoding; see ``runner.data.tables.table.TableDataModule``."""

    max_integer_categories: int
    min_category_count: int
    max_categories: int
    date_parts: Sequence[str] | None


def no_feature_problem(
    table: pd.DataFrame, encoder: TableEncoder, features: Sequence[str], min_category_count: int
) -> str:
    """Return a problem with its causes if no feature differs between rows; empty otherwise.

    Args:
        table: the rows that the encoder was fitted on.
        encoder: the fitted encoder.
        features: names of the feature columns.
        min_category_count: minimum number of rows of a category.
    """
    if encoder.slots or encoder.indicators or encoder.dates:
        return ""
    numeric = [name for name in features if name in encoder.medians]
    if any(to_numbers(table[name]).nunique() > 1 for name in numeric):
        return ""
    causes = [cause_of(table[name], min_category_count) for name in features]
    more = f"; and {len(causes) - MAX_NAMED_CAUSES} more" if len(causes) > MAX_NAMED_CAUSES else ""
    return (
        "no feature is left to learn from: "
        f"{'; '.join(causes[:MAX_NAMED_CAUSES]) or 'the table has no other column'}{more}. Add a "
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


@dataclass
class TableFit:
    """Statistics of the training rows, sufficient to encode other rows.

    Attributes:
        encoder: the fitted encoder.
        class_names: labels in the order of their ids; empty for a regression.
        mean, std: statistics of the encoded features, for ``Standardize``.
        formats: number format of each column; preferred when other files are read.
    """

    encoder: TableEncoder
    class_names: list[str]
    mean: list[float]
    std: list[float]
    formats: dict[str, NumberFormat] = field(default_factory=dict)

    def encode(self, table: pd.DataFrame, layout: TableLayout, path: str) -> TableSource:
        """Encode labelled rows as tensors."""
        targets = encode_targets(table[layout.targets], self.class_names, path)
        return TableSource(self.encoder(table, path), targets, (table.index + 1).tolist(), Path(path).name)

    def state_dict(self) -> dict[str, Any]:
        """Return plain containers, which load from a checkpoint with ``weights_only=True``."""
        formats = {name: [form.decimal, form.thousands] for name, form in self.formats.items()}
        return asdict(self) | {"encoder": self.encoder.state_dict(), "formats": formats}

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Any]) -> TableFit:
        """Return the fit whose ``state_dict`` this is."""
        formats = {name: NumberFormat(*form) for name, form in state_dict.get("formats", {}).items()}
        return cls(**state_dict | {"encoder": TableEncoder(**state_dict["encoder"]), "formats": formats})


def learn(
    table: pd.DataFrame,
    layout: TableLayout,
    cut: Callable[[Tensor, bool], tuple[Tensor, ...]],
    path: str,
    **limits: Unpack[EncoderLimits],
) -> tuple[TableFit, list[str]]:
    """Fit an encoder to the training rows of a table.

    Args:
        table: labelled rows. The roles of the columns are derived from all rows, statistics from the training
            rows only.
        layout: options of the file.
        cut: maps targets, and whether they are classes, to the row indices of each split, training first.
        path: path of the table, for messages.
        **limits: see ``EncoderLimits``.

    Returns:
        The fitted statistics, and notices for the user.

    Raises:
        DataError: no feature differs between the training rows.
    """
    is_class = layout.problem(table) == "classification"
    class_names = class_names_of(table[layout.targets[0]]) if is_class else []
    targets = encode_targets(table[layout.targets], class_names, path)
    train = table.iloc[cut(targets, is_class)[0].numpy()]
    encoder, roles = fit_encoder(table, train, layout, **limits)
    if problem := empty_problem(train, encoder, roles, limits["min_category_count"]):
        raise DataError(f"{path}: {problem}")
    scale = encoder.standardize(encoder(train, path))
    if is_class:
        roles.notes += label_notes(table[layout.targets[0]])
    dropped = [name for name in roles.categorical if name not in encoder.slots]
    notes = [f"column {name!r} has no categories that distinguish rows: left out" for name in dropped]
    notes += [
        f"the date column {name!r} is the same in every row: left out"
        for name in roles.dates
        if name not in encoder.dates
    ]
    notes += [note for name in encoder.slots if (note := name_note(train[name], encoder.slots[name]))]
    mean, std = (values.tolist() for values in scale.exact)
    return TableFit(encoder, class_names, mean, std), [*roles.notes, *notes]


MAX_RARE_SHARE = 0.5
MIN_NAMES = 20


def name_note(column: pd.Series, slots: Sequence[str]) -> str:
    """Return a notice about a one-hot encoded column that looks like names; empty for any other column.

    Args:
        column: the training rows of the column.
        slots: its slots; see `TableEncoder`.
    """
    values = column.dropna()
    rare, distinct = float((~values.isin(slots)).mean()), values.nunique()
    if OTHER not in slots or distinct < MIN_NAMES or rare < MAX_RARE_SHARE:
        return ""
    return (
        f"column {str(column.name)!r} looks like names ({distinct} values in {len(values)} rows): it is "
        f"one-hot encoded, and {rare:.0%} of the rows share the feature (other). Consider leaving it out "
        f"with data.ignore=[{column.name}]"
    )


def fit_encoder(
    table: pd.DataFrame, train: pd.DataFrame, layout: TableLayout, **limits: Unpack[EncoderLimits]
) -> tuple[TableEncoder, ColumnRoles]:
    """Return the encoder fitted to the training rows, and the roles of the columns in all rows."""
    roles = assign_roles(
        table,
        layout.targets,
        layout.ignore,
        layout.categorical,
        limits["max_integer_categories"],
        layout.dates,
        layout.day_first,
    )
    encoder = TableEncoder.fitted(
        train,
        roles.numeric,
        roles.categorical,
        min_category_count=limits["min_category_count"],
        max_categories=limits["max_categories"],
        dates=roles.dates,
        date_parts=limits["date_parts"],
    )
    return encoder, roles


def empty_problem(
    train: pd.DataFrame, encoder: TableEncoder, roles: ColumnRoles, min_category_count: int
) -> str:
    """Return a problem if no feature differs between the training rows; see ``no_feature_problem``."""
    columns = [name for name in train.columns if name in {*roles.numeric, *roles.categorical, *roles.dates}]
    return no_feature_problem(train, encoder, columns, min_category_count)


MISSING, OTHER = "(missing)", "(other)"


class TableEncoder:
    """Encodes rows: numbers unchanged, categories one-hot, dates as numbers (``runner.data.tables.dates``).

    A missing number is replaced by the median of the training rows; columns with missing values in the
    training rows have an additional indicator feature. A missing category is a category of its own. Rare
    categories share one slot, which is also used for unknown ones; without rare categories in the training
    rows the slot does not exist, and unknown categories are encoded as zeros.

    Attributes:
        medians: median of each numeric column.
        indicators: numeric columns with a feature that is 1 where the number is missing.
        slots: for each categorical column its words, ``(missing)`` and ``(other)``.
        dates: format and parts of each column of dates. Each part has a median, too, after those of the
            numeric columns.
        is_float64: whether float32 would lose differences between the training rows.
    """

    def __init__(
        self,
        medians: dict[str, float],
        indicators: list[str],
        slots: dict[str, list[str]],
        dates: dict[str, dict[str, Any]] | None = None,
        is_float64: bool = False,
    ) -> None:
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
        """Return an encoder fitted to the training rows.

        Args:
            table: the training rows.
            numeric: names of the columns of numbers.
            categorical: names of the columns of categories.
            min_category_count: categories with fewer rows are rare.
            max_categories: maximum number of categories of a column; less frequent ones are rare, too.
            dates: format of each column of dates.
            date_parts: parts of the dates; see ``used_parts``.
        """
        dates = dates or {}
        used = {name: used_parts(table[name], form, date_parts) for name, form in dates.items()}
        kept = {name: {"format": dates[name], "parts": parts} for name, parts in used.items() if parts}
        numbers = {name: to_numbers(table[name]) for name in numeric} | with_parts(table, kept, "")
        medians = {name: float(np.nan_to_num(column.median())) for name, column in numbers.items()}
        indicators = [name for name, column in numbers.items() if column.isna().any()]
        slots = {name: slots_of(table[name], min_category_count, max_categories) for name in categorical}
        filled = [np.nan_to_num(column, nan=medians[name]) for name, column in numbers.items()]
        is_float64 = bool(filled) and needs_float64(torch.from_numpy(np.stack(filled, axis=1)))
        slots = {name: words for name, words in slots.items() if len(words) > 1}
        return cls(medians, indicators, slots, kept, is_float64)

    @property
    def columns(self) -> list[str]:
        """The columns that a table must have."""
        derived = self.derived
        return [*(name for name in self.medians if name not in derived), *self.dates, *self.slots]

    @property
    def derived(self) -> dict[str, str]:
        """Date feature → its column."""
        return {
            feature: name
            for name, date in self.dates.items()
            for feature in date_feature_names(name, date["parts"])
        }

    @property
    def feature_names(self) -> list[str]:
        """The names of the F features."""
        indicators = [f"{name} is missing" for name in self.indicators]
        return [
            *self.medians,
            *indicators,
            *(f"{name}={slot}" for name in self.slots for slot in self.slots[name]),
        ]

    @property
    def feature_columns(self) -> list[str]:
        """The column from which each feature is computed."""
        numbers = [self.derived.get(name, name) for name in (*self.medians, *self.indicators)]
        return [*numbers, *(name for name in self.slots for _ in self.slots[name])]

    def __call__(self, table: pd.DataFrame, path: str) -> Tensor:
        """Return the features ``(N, F)`` in the columns' units: float32, or float64 if ``is_float64``.

        Args:
            table: the rows.
            path: path of the table, for messages.

        Raises:
            DataError: a column is missing, or a value is not a number.
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
        """Return the standardization of the numeric features; features that are 0 or 1 stay unchanged."""
        fitted = Standardize.fitted(features)
        is_number = torch.arange(features.shape[1]) < len(self.medians)
        return Standardize(
            torch.where(is_number, fitted.exact[0], 0.0),
            torch.where(is_number, fitted.exact[1], 1.0),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain containers."""
        state = {"medians": self.medians, "indicators": self.indicators, "slots": self.slots}
        optional = {"dates": self.dates, "is_float64": self.is_float64}
        return state | {name: value for name, value in optional.items() if value}


def with_parts(table: pd.DataFrame, dates: Mapping[str, dict[str, Any]], path: str) -> dict[str, pd.Series]:
    """Return date feature → its numbers."""
    features: dict[str, pd.Series] = {}
    for name, date in dates.items():
        numbers = parts_of(table[name], date["format"], date["parts"], path)
        names = date_feature_names(name, date["parts"])
        features |= {
            feature: pd.Series(numbers[:, index], table.index) for index, feature in enumerate(names)
        }
    return features


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
    """Return the one-hot encoding ``(N, slots)``, all zeros where a value has no slot."""
    words = column.fillna(MISSING)
    known = words.where(words.isin(slots), OTHER)
    return np.stack([known.eq(slot).to_numpy() for slot in slots], axis=1)
