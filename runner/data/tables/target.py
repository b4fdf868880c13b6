"""The target of a table: its kind of problem, and its values as a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Literal

import pandas as pd
import torch
from torch import Tensor

from runner.data.dropped import DroppedSamples
from runner.data.labels import case_notices, find_label, merge_spellings, merged_spellings
from runner.data.standardize import needs_float64
from runner.data.tables.column import is_numeric, lost_digits, mixed_column, odd_words
from runner.data.tables.file import NA_SPELLINGS, number_columns, to_numbers
from runner.data.tables.numbers import DASHES, NumberFormat, plain_numbers, read_formats
from runner.errors import DataError
from runner.suggest import did_you_mean

__all__ = [
    "class_names_of", "encode_targets", "label_notes", "problem_of", "read_target", "report_missing_targets",
    "target_problems", "unknown_labels",
]  # fmt: skip

Problem = Literal["classification", "regression"]
MAX_NUMBER_CLASSES = 20


def problem_of(targets: pd.DataFrame, categorical: Sequence[str], task: str | None) -> Problem:
    """Return whether the targets pose a classification or a regression.

    Args:
        targets: the target columns as text.
        categorical: columns of numbers that are classes.
        task: name or class of the task (``runner.tasks.regression.RegressionTask``). If it contains neither
            word, the values decide: words, and up to 20 different whole numbers, are classes.
    """
    problems: tuple[Problem, ...] = ("classification", "regression")
    for problem in problems:
        if problem in (task or "").lower():
            return problem
    column = targets.iloc[:, 0]
    is_class = targets.shape[1] == 1 and not is_measured(column, categorical)
    return "classification" if is_class else "regression"


def is_measured(column: pd.Series, categorical: Sequence[str]) -> bool:
    """Return whether the values are numbers that do not look like class ids."""
    if column.name in categorical or not is_numeric(column):
        return False
    numbers = to_numbers(column).dropna()
    return bool((numbers % 1 != 0).any()) or numbers.nunique() > MAX_NUMBER_CLASSES


def read_target(
    column: pd.Series,
    missing: Set[str],
    is_words: bool,
    path: str,
    task: str | None,
    categorical: Sequence[str],
    decimal: str | None,
    thousands: str | None,
    known: Mapping[str, NumberFormat] | None = None,
) -> tuple[pd.Series, NumberFormat | None]:
    """Return a target column with normalized numbers or unchanged labels.

    ``None``, ``NA`` and similar cells are missing values among numbers, and labels among words.

    Args:
        column: every cell as text, including empty ones.
        missing: cells without a value, apart from ``NA_SPELLINGS``.
        is_words: whether the column holds words in the training file.
        path: path of the table, for messages.
        task: name or class of the task; see ``problem_of``.
        categorical: columns of numbers that are classes.
        decimal: decimal sign; detected when None.
        thousands: thousands separator; detected when None.
        known: formats of the training file; see ``read_formats``.

    Returns:
        The column, NaN for missing targets, and the format of its numbers; None for words.

    Raises:
        DataError: the numbers are ambiguous.
    """
    values = column.where(~column.isin(missing))
    certain = values.where(~values.isin(NA_SPELLINGS))
    if is_words:
        return values, None
    try:
        form = read_formats(certain.to_frame(), path, decimal, thousands, known).get(str(column.name))
    except DataError:
        if "classification" not in (task or "").lower() and column.name not in categorical:
            raise
        return values, None
    if form is None:
        is_missing = certain.dropna().empty and values.nunique() < 2
        is_regression = "regression" in (task or "").lower() or is_missing
        return (certain if is_regression else values), None
    numbers = plain_numbers(certain, form)
    is_class = problem_of(numbers.to_frame(), categorical, task) == "classification"
    if is_class and not is_measured(numbers, categorical):
        numbers = certain.where(~certain.isin(DASHES))
    return numbers, form


def report_missing_targets(
    table: pd.DataFrame, raw: Mapping[str, pd.Series], path: str, dropped: DroppedSamples
) -> None:
    """Count the rows without a target by their spellings of a missing value."""
    rest = pd.Series(True, index=table.index)
    for name, column in raw.items():
        lost = rest & table[name].isna()
        rest &= ~lost
        counts = column[lost].value_counts()
        spellings = ", ".join(
            f"{count} × {text!r}" if text else f"{count} × an empty cell"
            for text, count in counts.iloc[:5].items()
        )
        rows = [f"row {index + 1}" for index in table.index[lost][:3]]
        reason = f"no value of the target {name!r} ({spellings}{', …' if len(counts) > 5 else ''})"
        dropped.add("rows", int(lost.sum()), reason, len(table), path, rows)


def target_problems(targets: pd.DataFrame, categorical: Sequence[str], problem: Problem) -> list[str]:
    """Return problems with targets that cannot be used for training as configured."""
    if problem == "classification" and targets.shape[1] > 1:
        return [
            f"data.target names {targets.shape[1]} columns; a classification has one. Name one, or choose "
            "task=regression if they are numbers."
        ]
    return [text for name in targets.columns for text in column_problems(targets[name], categorical, problem)]


def column_problems(column: pd.Series, categorical: Sequence[str], problem: Problem) -> list[str]:
    name, values = str(column.name), column.dropna()
    if values.empty:
        return [f"target column {name!r} is empty in every row."]
    if values.nunique() == 1 or (problem == "classification" and len(class_names_of(values)) == 1):
        return [f"target column {name!r} is {values.iloc[0]!r} in every row: there is nothing to learn."]
    are_numbers = problem == "regression" or (
        name not in categorical and values.nunique() > MAX_NUMBER_CLASSES
    )
    if are_numbers and (lost := lost_digits(values)):
        return ["target " + lost]
    if problem == "regression":
        return regression_problems(name, values)
    if name not in categorical and len(words := odd_words(values)):
        return ["target " + mixed_column(name, words)]
    if is_measured(column, categorical):
        return [
            f"target column {name!r} holds {values.nunique()} different numbers such as {values.iloc[0]}, "
            "which do not look like classes. Choose task=regression; if they are classes, set "
            f"data.categorical=[{name}]."
        ]
    if values.nunique() > len(values) / 2:
        return [
            f"target column {name!r} holds {values.nunique()} different values in {len(values)} rows, such "
            f"as {values.iloc[0]!r}: too many for classes. Choose another target."
        ]
    return []


def regression_problems(name: str, values: pd.Series) -> list[str]:
    words = values[to_numbers(values).isna()]
    if words.empty:
        return []
    return [
        f"target column {name!r} holds words such as {words.iloc[0]!r} (row {words.index[0] + 1}), but a "
        "regression needs numbers. Choose task=classification, or correct the values."
    ]


def class_names_of(column: pd.Series) -> list[str]:
    """Return the labels in sorted order, by value if all are numbers; spellings are merged.

    See ``runner.data.labels.merge_spellings``.
    """
    labels = list(dict.fromkeys(merge_spellings(column.dropna().unique().tolist()).values()))
    return sorted(labels, key=float) if is_numeric(column) else sorted(labels)


def label_notes(column: pd.Series) -> list[str]:
    """Return notices about labels with several spellings."""
    names = merge_spellings(column.dropna().unique().tolist())
    notes = [
        f"the labels {', '.join(map(repr, spellings))} are one class, {name!r}"
        for name, spellings in merged_spellings(names).items()
    ]
    return notes + [f"the labels {notice}" for notice in case_notices(list(dict.fromkeys(names.values())))]


def unknown_labels(column: pd.Series, class_names: Sequence[str], path: str) -> list[str]:
    """Return problems with labels that do not occur in the training file."""
    unknown = sorted(label for label in column.dropna().unique() if find_label(label, class_names) is None)
    return [
        f"{path} holds the label {label!r}, which the training file does not have. "
        f"{did_you_mean(label, class_names)} "
        + (
            f"If it stands for a missing value, set data.na_values=[{label!r}]."
            if label in NA_SPELLINGS
            else "Correct the labels, or strip surrounding characters with data.label_strip."
        )
        for label in unknown[:5]
    ]


def encode_targets(targets: pd.DataFrame, class_names: Sequence[str], path: str) -> Tensor:
    """Return class ids ``(N,)``, or numbers ``(N, K)`` if there are no classes.

    Numbers are float32, or float64 if float32 would lose differences between the rows.

    Raises:
        DataError: a label is unknown, or a value is not a number.
    """
    if class_names:
        problems = unknown_labels(targets.iloc[:, 0], class_names, path)
        if problems:
            raise DataError("\n".join(problems))
        ids = {label: find_label(label, class_names) for label in targets.iloc[:, 0].unique()}
        return torch.tensor([ids[label] for label in targets.iloc[:, 0]], dtype=torch.long)
    numbers = torch.from_numpy(number_columns(targets, list(targets.columns), path))
    return numbers if needs_float64(numbers) else numbers.float()
