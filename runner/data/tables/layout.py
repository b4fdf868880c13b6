"""Options of a table's file and columns, and checks of the table against them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from runner.data.dropped import DroppedSamples
from runner.data.tables.column import column_problems, header_problem, is_header, is_numeric
from runner.data.tables.file import (
    first_cells,
    missing_columns,
    missing_spellings,
    read_cells,
    written_plainly,
)
from runner.data.tables.numbers import NumberFormat, read_formats
from runner.data.tables.target import (
    Problem,
    class_names_of,
    problem_of,
    read_target,
    report_missing_targets,
    target_problems,
    unknown_labels,
)

__all__ = ["TableLayout"]

FEW_ROWS = 10


@dataclass(frozen=True)
class TableLayout:
    """The options of a table data module that concern its file.

    The attributes are documented in ``runner.data.tables.table.TableDataModule``.
    """

    targets: list[str]
    task: str | None
    columns: list[str] | None
    separator: str | None
    na_values: list[str]
    ignore: list[str]
    categorical: list[str]
    label_strip: str
    decimal: str | None = None
    thousands: str | None = None
    dates: list[str] | None = None
    day_first: bool | None = None
    encoding: str | None = None

    def read(
        self,
        path: str,
        num_rows: int | None = None,
        known: Mapping[str, NumberFormat] | None = None,
        dropped: DroppedSamples | None = None,
    ) -> tuple[pd.DataFrame, dict[str, NumberFormat]]:
        """Reads a table as text with normalized numbers; see ``read_table``.

        Args:
            path: the file.
            num_rows: maximum number of rows.
            known: number formats of the training file, if this is another one.
            dropped: receives the rows that cannot be used.

        Returns:
            The table and the original format of each column of numbers.
        """
        table = read_cells(
            path,
            self.columns,
            self.separator,
            self.na_values,
            num_rows,
            self.targets,
            dropped,
            self.encoding,
        )
        raw = {name: table[name].copy() for name in self.targets if name in table.columns}
        words = [name for name in raw if known is not None and name not in known]
        missing = missing_spellings(self.na_values)
        formats: dict[str, NumberFormat] = {}
        for name, column in raw.items():
            options = (self.task, self.categorical, self.decimal, self.thousands, known)
            table[name], form = read_target(column, missing, name in words, path, *options)
            if self.label_strip:
                table[name] = table[name].str.strip(self.label_strip)
            formats |= {name: form} if form else {}
        if dropped is not None and num_rows is None:
            report_missing_targets(table, raw, path, dropped)
        return self._plain(table, path, known, formats)

    def _plain(
        self,
        table: pd.DataFrame,
        path: str,
        known: Mapping[str, NumberFormat] | None,
        formats: Mapping[str, NumberFormat],
    ) -> tuple[pd.DataFrame, dict[str, NumberFormat]]:
        as_text = {*self.targets, *self.ignore, *self.categorical}
        features = table[[name for name in table.columns if name not in as_text]]
        feature_formats = read_formats(features, path, self.decimal, self.thousands, known)
        return written_plainly(table, feature_formats), {**feature_formats, **formats}

    def read_without_targets(
        self, path: str, known: Mapping[str, NumberFormat] | None = None
    ) -> pd.DataFrame:
        """Reads new rows; in a file without a header line, the cells of the targets are optional."""
        columns = self.columns
        if columns is not None:
            rest = [name for name in columns if name not in self.targets]
            _, cells = first_cells(path, self.separator, self.encoding)
            columns = rest if len(cells) == len(rest) else columns
            if is_header(cells, self.columns or (), [name for name in rest if name not in self.ignore]):
                columns = None
        table = read_cells(path, columns, self.separator, self.na_values, encoding=self.encoding)
        return self._plain(table, path, known, {})[0]

    def labelled(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows without missing targets; their index remains that of the file."""
        return table[table[self.targets].notna().all(axis=1)]

    def problem(self, table: pd.DataFrame) -> Problem:
        """Return whether the targets pose a classification or a regression."""
        return problem_of(table[self.targets], self.categorical, self.task)

    def missing_columns(self, table: pd.DataFrame, path: str) -> list[str]:
        """Return problems with targets that the table lacks, or with a first line that is not a header."""
        problems = missing_columns(table, self.targets, path)
        hint = header_problem(table, path, bool(problems)) if self.columns is None else ""
        if problems and hint:
            problems[-1] += " " + hint
        return problems or ([f"{path}: {hint}"] if hint else [])

    def problems(self, table: pd.DataFrame, path: str) -> list[str]:
        """Return all problems of the training table."""
        problems = self.missing_columns(table, path)
        if not problems and not len(table):
            return [f"{path} has a header line, but no rows."]
        of_columns = column_problems(
            table, self.targets, self.ignore, self.categorical, dates=self.dates, day_first=self.day_first
        )
        problems += [f"{path}: {text}" for text in of_columns]
        if any(name not in table.columns for name in self.targets):
            return problems
        num_rows = len(self.labelled(table))
        if num_rows < FEW_ROWS:
            return [*problems, f"{path} has {num_rows} rows with a target; at least {FEW_ROWS} are needed."]
        of_targets = target_problems(table[self.targets], self.categorical, self.problem(table))
        return problems + [f"{path}: {text}" for text in of_targets]

    def test_problems(self, test: pd.DataFrame, path: str, train: pd.DataFrame) -> list[str]:
        """Return all problems of a separate test table."""
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
