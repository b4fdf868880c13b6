"""Statistics fitted on the training rows of a table, stored as plain numbers and strings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from runner.data.tables.column import ColumnRoles, assign_roles
from runner.data.tables.encoder import TableEncoder
from runner.data.tables.informative import no_feature_problem
from runner.data.tables.layout import TableLayout
from runner.data.tables.numbers import NumberFormat
from runner.data.tables.source import TableSource
from runner.data.tables.target import class_names_of, encode_targets, label_notes
from runner.errors import DataError

__all__ = ["TableFit", "empty_problem", "fit_encoder", "learn"]


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
