"""What a person says about a table: how to read its file, which columns mean what; and whether that is so."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from runner.data.tables.column import column_problems, is_numeric
from runner.data.tables.file import first_cells, is_number, missing_columns, read_table
from runner.data.tables.target import Problem, class_names_of, problem_of, target_problems, unknown_labels

__all__ = ["TableLayout"]

FEW_ROWS = 10


@dataclass(frozen=True)
class TableLayout:
    """The options of a table data module that are about the file.

    Attributes are described at ``runner.data.tables.table.TableDataModule``.
    """

    targets: list[str]
    task: str | None
    columns: list[str] | None
    separator: str | None
    na_values: list[str]
    ignore: list[str]
    categorical: list[str]
    label_strip: str

    def read(self, path: str, num_rows: int | None = None) -> pd.DataFrame:
        """Every cell as text; see ``read_table``."""
        table = read_table(path, self.columns, self.separator, self.na_values, num_rows)
        for name in self.targets:
            if self.label_strip and name in table.columns:
                table[name] = table[name].str.strip(self.label_strip)
        return table

    def read_without_targets(self, path: str) -> pd.DataFrame:
        """New rows; where there is no header line, the targets' cells may be there or not."""
        if self.columns is None:
            return read_table(path, None, self.separator, self.na_values)
        rest = [name for name in self.columns if name not in self.targets]
        _, cells = first_cells(path, self.separator)
        columns = rest if len(cells) == len(rest) else self.columns
        return read_table(path, columns, self.separator, self.na_values)

    def labelled(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of which every target is known; their index stays that of the file."""
        return table[table[self.targets].notna().all(axis=1)]

    def problem(self, table: pd.DataFrame) -> Problem:
        return problem_of(table[self.targets], self.categorical, self.task)

    def missing_columns(self, table: pd.DataFrame, path: str) -> list[str]:
        """Problems with targets that the table lacks."""
        problems = missing_columns(table, self.targets, path)
        if problems and self.columns is None and any(map(is_number, table.columns)):
            problems[-1] += (
                " Its first line looks like data: if there is no header line, name the columns with "
                "data.columns=[…]."
            )
        return problems

    def problems(self, table: pd.DataFrame, path: str) -> list[str]:
        """All that is wrong with the training table."""
        problems = self.missing_columns(table, path)
        problems += [
            f"{path}: {text}" for text in column_problems(table, self.targets, self.ignore, self.categorical)
        ]
        if any(name not in table.columns for name in self.targets):
            return problems
        num_rows = len(self.labelled(table))
        if num_rows < FEW_ROWS:
            return [*problems, f"{path} has {num_rows} rows with a target; at least {FEW_ROWS} are needed."]
        found = target_problems(table[self.targets], self.categorical, self.problem(table))
        return problems + [f"{path}: {text}" for text in found]

    def test_problems(self, test: pd.DataFrame, path: str, train: pd.DataFrame) -> list[str]:
        """All that is wrong with a second table to test on."""
        wanted = [name for name in train.columns if name not in self.ignore]
        problems = missing_columns(test, wanted, path)
        if problems or any(name not in train.columns for name in self.targets):
            return problems
        if self.labelled(test).empty:
            return [f"{path} has no row with a target."]
        for name in wanted:
            if name not in self.categorical and is_numeric(train[name]) and not is_numeric(test[name]):
                problems.append(
                    f"{path}: column {name!r} holds words, but only numbers in the training file."
                )
        if problems or self.problem(train) == "regression":
            return problems
        return unknown_labels(test[self.targets[0]], class_names_of(train[self.targets[0]]), path)
