"""What is learnt from the training rows of a table, kept as plain numbers and words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from runner.data.tables.column import assign_roles
from runner.data.tables.encoder import TableEncoder
from runner.data.tables.layout import TableLayout
from runner.data.tables.source import TableSource
from runner.data.tables.target import class_names_of, encode_targets

__all__ = ["TableFit", "learn"]


@dataclass
class TableFit:
    """Enough to encode other rows of the same kind.

    Attributes:
        class_names: labels in the order of their ids; empty for a regression.
        mean, std: of the encoded features, for ``Standardize``.
    """

    encoder: TableEncoder
    class_names: list[str]
    mean: list[float]
    std: list[float]

    def encode(self, table: pd.DataFrame, layout: TableLayout, path: str) -> TableSource:
        """Labelled rows as tensors."""
        targets = encode_targets(table[layout.targets], self.class_names, path)
        return TableSource(self.encoder(table, path), targets, (table.index + 1).tolist(), Path(path).name)

    def state_dict(self) -> dict[str, Any]:
        """Plain containers: a checkpoint with them loads weights-only."""
        return asdict(self) | {"encoder": self.encoder.state_dict()}

    @classmethod
    def from_state_dict(cls, state_dict: dict[str, Any]) -> TableFit:
        return cls(**state_dict | {"encoder": TableEncoder(**state_dict["encoder"])})


def learn(
    table: pd.DataFrame,
    layout: TableLayout,
    cut: Callable[[Tensor, bool], tuple[Tensor, ...]],
    path: str,
    **limits: int,
) -> tuple[TableFit, list[str]]:
    """Learns from the rows that ``cut`` gives to training.

    Args:
        table: labelled rows. What kind a column is shows in all of them; what its values are, in the training
            rows alone.
        cut: targets, and whether they are classes, to the rows of each split, training first.
        limits: ``max_integer_categories``, ``min_category_count`` and ``max_categories``.

    Returns:
        What was learnt, and what a person should know about it.
    """
    is_class = layout.problem(table) == "classification"
    class_names = class_names_of(table[layout.targets[0]]) if is_class else []
    targets = encode_targets(table[layout.targets], class_names, path)
    train = table.iloc[cut(targets, is_class)[0].numpy()]
    most = limits.pop("max_integer_categories")
    roles = assign_roles(table, layout.targets, layout.ignore, layout.categorical, most)
    encoder = TableEncoder.fitted(train, roles.numeric, roles.categorical, **limits)
    scale = encoder.standardize(encoder(train, path))
    dropped = [name for name in roles.categorical if name not in encoder.slots]
    notes = [f"column {name!r} has no categories that tell rows apart: left out" for name in dropped]
    return TableFit(encoder, class_names, scale.mean.tolist(), scale.std.tolist()), [*roles.notes, *notes]
