"""Data module of tables in text files, for classification and regression."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Unpack

import pandas as pd
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from runner.data.base import DataModule, LoaderOptions
from runner.data.facts import Facts, digest_files
from runner.data.folds import Folds
from runner.data.given_splits import indices_of_parts, parts_of_column
from runner.data.groups import group_texts
from runner.data.split import Split
from runner.data.standardize import Standardize
from runner.data.tables.encoder import EncoderLimits, TableFit, empty_problem, fit_encoder, learn
from runner.data.tables.features import target_statistics
from runner.data.tables.layout import TableLayout
from runner.data.tables.numbers import NumberFormat
from runner.errors import DataError
from runner.suggest import did_you_mean

__all__ = ["TableDataModule"]

log = logging.getLogger(__name__)

WHOLE_FILE_BYTES = 200_000_000  # of larger files, only the first line is checked before the run


class TableDataModule(DataModule):
    """A CSV file, or one with another separator; the target is one column, or several columns of numbers.

    Numbers are standardized, categories one-hot encoded, missing values imputed; all statistics are computed
    from the training rows only and stored in the checkpoint. Rows without a target are left out.

    Args:
        path: the file, plain or ``.gz``.
        target: the column to predict, or several for a regression with several targets.
        task: ``classification``, ``regression`` or a task's class; derived from the target's values when
            None.
        val_path, test_path: separate files of these splits; without them, ``val_fraction`` and
            ``test_fraction`` of the rows are split off.
        split_column: a column that names the split of each row (``train``, ``val``, ``test`` and the like).
            Without rows for validation, ``val_fraction`` of the training rows are split off; without rows for
            the test, there is none.
        columns: names of the columns, if the file has no header line.
        separator: separator of the cells; detected when None.
        na_values: strings for missing values besides an empty cell; ``?`` when None. ``NA``, ``N/A``,
            ``NaN``, ``null``, ``None`` and the like (``runner.data.tables.file.NA_SPELLINGS``) are missing
            values in every feature column and among numbers; in a target of words they are labels, unless
            they are named here. A dash is a missing value among numbers.
        ignore: columns to leave out.
        categorical: columns of numbers to treat as categories, or a numeric target to treat as classes.
        max_integer_categories: integer columns with at most this number of distinct values are categories,
            too.
        min_category_count: categories with fewer training rows share a slot with unknown ones.
        max_categories: maximum number of categories of a column; less frequent ones share that slot, too.
        label_strip: characters to strip from both ends of class labels.
        decimal: ``point`` or ``comma``; detected for each column when None. An ambiguous column (``1,234``)
            is rejected, unless another column of the file shows which decimal sign is meant.
        thousands: ``comma``, ``point``, ``space``, ``apostrophe`` or ``none``; detected when None. Percent
            and currency signs are ignored: ``12.5%`` is 12.5, ``$5`` is 5, and ``(5)`` is -5.
        dates: columns that hold dates; detected when None, none when empty. Numbers such as 20240131 are
            dates only in columns named here.
        date_parts: the features of a date: ``year``, ``month``, ``day``, ``weekday`` (Monday is 0), ``hour``,
            ``minute``, ``days`` (since 1970). When None the first four, and ``hour`` if there are times. A
            part that is the same in all training rows is left out.
        day_first: whether ``01/02/2024`` is in February; detected when None, and rejected if ambiguous.
        encoding: of the file, such as ``cp1252`` or ``latin-1``; UTF-8, UTF-16 and UTF-32 are detected when
            None.
        hint: where the file is available, printed when it is missing.
        val_fraction, test_fraction: fractions of the rows, split at random and stratified by class.
        split_seed: seed of the random split.

    Attributes:
        fitted: statistics of the training rows; available after ``setup`` or ``load_state_dict``.
    """

    groups_by = "column"
    no_folds_with = ("val_path",)
    extra_facts = ("feature_names", "num_numeric", "target_names", "target_mean", "target_std", "notes")

    def __init__(
        self,
        path: str | None = None,
        *,
        target: str | list[str] | None = None,
        task: str | None = None,
        val_path: str | None = None,
        test_path: str | None = None,
        split_column: str | None = None,
        columns: list[str] | None = None,
        separator: str | None = None,
        na_values: list[str | int | float] | None = None,
        ignore: list[str] | None = None,
        categorical: list[str] | None = None,
        max_integer_categories: Annotated[int, Ge(0)] = 0,
        min_category_count: Annotated[int, Ge(1)] = 5,
        max_categories: Annotated[int, Ge(1)] = 50,
        label_strip: str = "",
        decimal: Literal[".", ",", "point", "comma"] | None = None,
        thousands: Literal[".", ",", " ", "'", "", "point", "comma", "space", "apostrophe", "none"]
        | None = None,
        dates: list[str] | None = None,
        date_parts: list[Literal["year", "month", "day", "weekday", "hour", "minute", "days"]] | None = None,
        day_first: bool | None = None,
        encoding: str | None = None,
        hint: str = "",
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.2,
        test_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.2,
        split_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 64,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.path = str(Path(path).expanduser()) if path else None
        self.val_path = str(Path(val_path).expanduser()) if val_path else None
        self.test_path = str(Path(test_path).expanduser()) if test_path else None
        self.split_column = split_column
        self.layout = TableLayout(
            targets=[target] if isinstance(target, str) else list(target or []),
            task=task,
            columns=list(columns) if columns else None,
            separator=separator,
            na_values=[str(value) for value in (["?"] if na_values is None else na_values)],
            ignore=[*(ignore or []), *filter(None, (self.group, split_column))],
            categorical=list(categorical or []),
            label_strip=label_strip,
            decimal=decimal,
            thousands=thousands,
            dates=None if dates is None else list(dates),
            day_first=day_first,
            encoding=encoding,
        )
        self.limits: EncoderLimits = {
            "max_integer_categories": max_integer_categories,
            "min_category_count": min_category_count,
            "max_categories": max_categories,
            "date_parts": None if date_parts is None else list(date_parts),
        }
        self.hint = hint
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.split_seed = split_seed
        self.fitted: TableFit | None = None
        self.table: pd.DataFrame | None = None
        self.notes: list[str] = []
        self.formats: dict[str, NumberFormat] = {}

    def check(self) -> list[str]:
        problems = []
        if not self.path:
            problems.append(
                f"data.path is not set: name the table's file with data.path=FILE. {self.hint}".rstrip()
            )
        if not self.layout.targets:
            problems.append("data.target is not set: name the column to predict with data.target=COLUMN.")
        if self.split_column and (self.val_path or self.test_path):
            given = "data.val_path" if self.val_path else "data.test_path"
            problems.append(f"data.split_column and {given} both define splits: remove one of them.")
        if problems:
            return problems
        return self._read(whole=size_of(self._train_path) <= WHOLE_FILE_BYTES)[1]

    @property
    def _train_path(self) -> str:
        """``path``, after ``check`` and ``setup`` have rejected a missing one."""
        return self.path or ""

    @property
    def _fit(self) -> TableFit:
        if self.fitted is None:
            raise RuntimeError("The table has no statistics before setup() or load_state_dict().")
        return self.fitted

    def _read(self, whole: bool = True) -> tuple[dict[str, pd.DataFrame], list[str]]:
        """Return the tables by split and all their problems; if not whole, those of the column names only."""
        tables: dict[str, pd.DataFrame] = {}
        problems: list[str] = []
        for split, path in {"train": self.path, **self._held_out}.items():
            try:
                if path:
                    known = self.formats if split != "train" or self.fitted is not None else None
                    tables[split], formats = self.layout.read(path, None if whole else 0, known, self.dropped)
                    self.formats = self.formats if known is not None else formats
            except DataError as error:
                problems.append(f"{error} {self.hint}".rstrip())
        if not whole:
            return tables, problems or self.layout.missing_columns(tables["train"], self._train_path)
        if "train" in tables:
            problems += self._group_problems(tables["train"]) or self.layout.problems(
                tables["train"], self._train_path
            )
        if not problems and self.fitted is None:
            problems += self._feature_problems(tables["train"])
        for split, path in self._held_out.items():
            if split in tables and "train" in tables:
                problems += self.layout.test_problems(tables[split], path, tables["train"])
        return tables, problems

    @property
    def _held_out(self) -> dict[str, str]:
        """The separate files by split."""
        files = {"val": self.val_path, "test": self.test_path}
        return {split: path for split, path in files.items() if path}

    def setup(self, stage: str | None = None) -> None:
        """Reads and encodes the table, once. A prediction with a loaded state does not need it."""
        if self.splits or (stage == "predict" and self.fitted is not None):
            return
        tables, problems = self._read() if self.path and self.layout.targets else ({}, self.check())
        if problems:
            raise DataError("\n".join(problems))
        tables = {split: self.layout.labelled(table) for split, table in tables.items()}
        self.table = tables["train"]
        if self.fitted is None:
            fit, notes = learn(tables["train"], self.layout, self._cut, self._train_path, **self.limits)
            self._use(replace(fit, formats=self.formats), notes)
        source = self._fit.encode(tables["train"], self.layout, self._train_path)
        parts = zip(
            ("train", "val", "test"), self._cut(source.targets, bool(self._fit.class_names)), strict=True
        )
        self.splits = {split: Split(source, part, None, self.seed) for split, part in parts}
        for split, path in self._held_out.items():
            held_out = self._fit.encode(tables[split], self.layout, path)
            self.splits[split] = Split(held_out, range(len(held_out)), None, self.seed)
        self.splits = {split: part for split, part in self.splits.items() if len(part)}
        if self.group is not None:
            self._report_shared(tables)
        self.facts = self._facts(source.targets[self.splits["train"].indices])

    def _cut(self, targets: Tensor, is_class: bool) -> tuple[Tensor, Tensor, Tensor]:
        labels = targets if is_class else None
        if self.split_column is not None:
            return self._cut_by_column(labels)
        test_fraction = 0.0 if self.test_path else self.test_fraction
        val_fraction = 0.0 if self.val_path else self.val_fraction
        train, val, test = self.split_samples(
            len(targets), val_fraction, test_fraction, self.split_seed, labels, self._groups
        )
        if self.val_path:
            return train, val, test
        return *self.fold(train, val, labels, column=self._column), test

    def _cut_by_column(self, labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the rows of each split that ``split_column`` names; a missing val split is split off."""
        name = self.split_column or ""
        parts = indices_of_parts(parts_of_column(self._column(name), name, self._train_path))
        train, nothing = parts["train"], torch.empty(0, dtype=torch.long)
        val = parts.get("val")
        if val is None:
            groups = self._groups() if self.group else []
            rest, val, _ = self.split_samples(
                len(train), self.val_fraction, 0.0, self.split_seed,
                None if labels is None else labels[train], lambda: [groups[row] for row in train.tolist()],
            )  # fmt: skip
            train, val = train[rest], train[val]
        return *self.fold(train, val, labels, column=self._column), parts.get("test", nothing)

    def take_folds(self, folds: Folds) -> None:
        """Ignores the group column as a feature: new rows belong to other groups."""
        super().take_folds(folds)
        if folds.group_column and folds.group_column not in self.layout.ignore:
            self.layout.ignore.append(folds.group_column)

    def _groups(self) -> list[str]:
        return group_texts(self._column(self.group or ""))

    def _report_shared(self, tables: dict[str, pd.DataFrame]) -> None:
        """Warn of groups that occur in two splits which files or a column have separated."""
        groups, of_split = self._groups(), {}
        for split, part in self.splits.items():
            if split not in self._held_out:
                of_split[split] = [groups[row] for row in part.indices.tolist()]
            elif self.group in tables[split].columns:
                of_split[split] = group_texts(tables[split][self.group].dropna().tolist())
        self.report_shared_groups(of_split)

    @property
    def _group_settings(self) -> dict[str, str]:
        """The columns of groups by the setting that names them."""
        in_folds = self.folds.group_column if self.folds else None
        names = {"data.group": self.group, "folds.group_column": in_folds}
        names |= {"data.split_column": self.split_column}
        if self.group == in_folds:
            del names["folds.group_column"]
        return {key: name for key, name in names.items() if name is not None}

    def _feature_problems(self, table: pd.DataFrame) -> list[str]:
        """Check before ``setup`` whether any feature differs between the rows with a target."""
        rows = self.layout.labelled(table)
        encoder, roles = fit_encoder(rows, rows, self.layout, **self.limits)
        problem = empty_problem(rows, encoder, roles, self.limits["min_category_count"])
        return [f"{self.path}: {problem}"] if problem else []

    def _group_problems(self, table: pd.DataFrame) -> list[str]:
        problems = []
        for key, name in self._group_settings.items():
            if name not in table.columns:
                hint = did_you_mean(name, table.columns)
                problems.append(f"{key}={name}: {self.path} has no such column. {hint}")
            elif name in self.layout.targets:
                part = "fold" if key.startswith("folds") else "split"
                problems.append(
                    f"{key}={name} is the target: rows of a class would all be in one {part}. Name another."
                )
        return problems

    def _column(self, name: str) -> list[Any]:
        if self.table is None:
            raise RuntimeError("The columns of the table are available during setup() only.")
        values = self.table[name]
        if values.isna().any():
            row = int(values.isna().to_numpy().argmax())
            key = next((key for key, column in self._group_settings.items() if column == name), "data.group")
            raise DataError(f"{key}={name}: {self.path}, row {row + 1} has no value in this column.")
        return values.tolist()

    def _use(self, fit: TableFit, notes: list[str]) -> None:
        self.fitted, self.notes, self.formats = fit, notes, fit.formats
        self.normalize = Standardize(fit.mean, fit.std)
        for note in notes:
            log.warning("%s: %s", self.path, note)

    def _facts(self, targets: Tensor) -> Facts:
        class_names, feature_names = self._fit.class_names, self._fit.encoder.feature_names
        classes = len(class_names)
        extra = {
            "feature_names": feature_names,
            "num_numeric": len(self._fit.encoder.medians),
            "target_names": self.layout.targets,
            "notes": self.notes,
        }
        return Facts(
            task="classification" if classes else "regression",
            input_shape=(len(feature_names),),
            num_outputs=classes or len(self.layout.targets),
            class_names=class_names,
            class_counts=torch.bincount(targets, minlength=classes).tolist() if classes else [],
            **self.split_sizes(),
            name=Path(self._train_path).stem,
            source=str(Path(self._train_path).absolute()),
            digest=digest_files(self._train_path, *self._held_out.values()),
            extra=extra | ({} if classes else target_statistics(targets)),
        )

    @property
    def input_dtype(self) -> str:
        """The data type of the features before ``normalize``."""
        return "float64" if self.fitted is not None and self.fitted.encoder.is_float64 else "float32"

    def features(self) -> list[tuple[str, str]]:
        encoder = self._fit.encoder
        return list(zip(encoder.feature_names, encoder.feature_columns, strict=True))

    def read_inputs(self, paths: Sequence[str]) -> list[tuple[str, Tensor]]:
        """Read rows of tables with the feature columns of the training file; targets are optional."""
        inputs = []
        for path in paths:
            features = self._fit.encoder(self.layout.read_without_targets(path, self._fit.formats), path)
            prefix = "" if len(paths) == 1 else f"{path} "
            inputs += [(f"{prefix}row {number}", row) for number, row in enumerate(features, start=1)]
        return inputs

    def state_dict(self) -> dict[str, Any]:
        return {} if self.fitted is None else self.fitted.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the fitted statistics, so that ``setup`` does not compute them again.

        Raises:
            DataError: ``setup`` already computed different statistics: the file has changed.
        """
        self.reject_change(state_dict, str(self.path), "its columns, categories or statistics differ")
        self._use(TableFit.from_state_dict(state_dict), self.notes)


def size_of(path: str) -> int:
    file = Path(path)
    return file.stat().st_size if file.is_file() else 0
