"""Encoding of table rows as feature vectors, from statistics of the training rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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

__all__ = ["TableEncoder", "TableFit", "empty_problem", "fit_encoder", "learn", "no_feature_problem"]

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
    """Enough to encode other rows of the same kind.

    Attributes:
        class_names: labels in the order of their ids; empty for a regression.
        mean, std: of the encoded features, for ``Standardize``.
        formats: how the file spells the numbers of a column; preferred in other files.
    """

    encoder: TableEncoder
    class_names: list[str]
    mean: list[float]
    std: list[float]
    formats: dict[str, NumberFormat] = field(default_factory=dict)

    def encode(self, table: pd.DataFrame, layout: TableLayout, path: str) -> TableSource:
        """Labelled rows as tensors."""
        targets = encode_targets(table[layout.targets], self.class_names, path)
        return TableSource(self.encoder(table, path), targets, (table.index + 1).tolist(), Path(path).name)

    def state_dict(self) -> dict[str, Any]:
        """Plain containers: a checkpoint with them loads weights-only."""
        formats = {name: [form.decimal, form.thousands] for name, form in self.formats.items()}
        return asdict(self) | {"encoder": self.encoder.state_dict(), "formats": formats}

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Any]) -> TableFit:
        formats = {name: NumberFormat(*form) for name, form in state_dict.get("formats", {}).items()}
        return cls(**state_dict | {"encoder": TableEncoder(**state_dict["encoder"]), "formats": formats})


def learn(
    table: pd.DataFrame,
    layout: TableLayout,
    cut: Callable[[Tensor, bool], tuple[Tensor, ...]],
    path: str,
    **limits: Any,
) -> tuple[TableFit, list[str]]:
    """Learns from the rows that ``cut`` gives to training.

    Args:
        table: labelled rows. What kind a column is shows in all of them; what its values are, in the training
            rows alone.
        cut: targets, and whether they are classes, to the rows of each split, training first.
        limits: ``max_integer_categories``, ``min_category_count``, ``max_categories`` and ``date_parts``.

    Returns:
        The fitted statistics, and notes for the user.

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
    notes = [f"column {name!r} has no categories that tell rows apart: left out" for name in dropped]
    notes += [
        f"the date column {name!r} is the same in every row: left out"
        for name in roles.dates
        if name not in encoder.dates
    ]
    return TableFit(encoder, class_names, *(values.tolist() for values in scale.exact)), [
        *roles.notes,
        *notes,
    ]


def fit_encoder(
    table: pd.DataFrame, train: pd.DataFrame, layout: TableLayout, max_integer_categories: int, **limits: Any
) -> tuple[TableEncoder, ColumnRoles]:
    """What kind the columns are, by all rows, and the encoder of the training rows."""
    roles = assign_roles(
        table,
        layout.targets,
        layout.ignore,
        layout.categorical,
        max_integer_categories,
        layout.dates,
        layout.day_first,
    )
    return TableEncoder.fitted(train, roles.numeric, roles.categorical, dates=roles.dates, **limits), roles


def empty_problem(
    train: pd.DataFrame, encoder: TableEncoder, roles: ColumnRoles, min_category_count: int
) -> str:
    """See ``no_feature_problem``."""
    columns = [name for name in train.columns if name in {*roles.numeric, *roles.categorical, *roles.dates}]
    return no_feature_problem(train, encoder, columns, min_category_count)


MISSING, OTHER = "(missing)", "(other)"


class TableEncoder:
    """Numbers as they are, categories one-hot, dates as numbers (see ``runner.data.tables.dates``).

    A missing number becomes the training rows' median, and where training rows miss some, a further feature
    tells. Missing is a category of its own. Categories too rare to learn share a slot, and those never seen
    go there too; where no training row used it, it does not exist and they are all zeros.

    Attributes:
        medians: by numeric column.
        indicators: numeric columns with a feature that tells when they are missing.
        slots: by categorical column: its words, ``(missing)`` and ``(other)``.
        dates: by column of dates: its format and parts. Each part has a median, too, after those of the
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
