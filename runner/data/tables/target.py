"""The target of a table: which problem it poses, and its values as a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd
import torch
from torch import Tensor

from runner.data.nearest import did_you_mean
from runner.data.tables.column import is_numeric, mixed_column, odd_words
from runner.data.tables.file import number_columns, to_numbers
from runner.errors import DataError

__all__ = ["class_names_of", "encode_targets", "problem_of", "target_problems", "unknown_labels"]

Problem = Literal["classification", "regression"]
MAX_NUMBER_CLASSES = 20


def problem_of(targets: pd.DataFrame, categorical: Sequence[str], task: str | None) -> Problem:
    """Classification or regression.

    Args:
        targets: the target columns as text.
        task: the wanted task's name or class (``runner.tasks.regression.RegressionTask``). When it says neither
            word, the values decide: words, and up to 20 different whole numbers, are classes.
    """
    for problem in ("classification", "regression"):
        if problem in (task or "").lower():
            return problem
    column = targets.iloc[:, 0]
    is_class = targets.shape[1] == 1 and not is_measured(column, categorical)
    return "classification" if is_class else "regression"


def is_measured(column: pd.Series, categorical: Sequence[str]) -> bool:
    """Whether the values are numbers that do not look like ids of classes."""
    if column.name in categorical or not is_numeric(column):
        return False
    numbers = to_numbers(column).dropna()
    return bool((numbers % 1 != 0).any()) or numbers.nunique() > MAX_NUMBER_CLASSES


def target_problems(targets: pd.DataFrame, categorical: Sequence[str], problem: Problem) -> list[str]:
    """Targets that cannot be learnt, or not in this way."""
    if problem == "classification" and targets.shape[1] > 1:
        return [
            f"data.target names {targets.shape[1]} columns; a classification has one. Name one, or choose "
            "task=regression if they are numbers."
        ]
    return [text for name in targets.columns for text in column_problems(targets[name], categorical, problem)]


def column_problems(column: pd.Series, categorical: Sequence[str], problem: Problem) -> list[str]:
    name, values = column.name, column.dropna()
    if values.empty:
        return [f"target column {name!r} is empty in every row."]
    if values.nunique() == 1:
        return [f"target column {name!r} is {values.iloc[0]!r} in every row: there is nothing to learn."]
    if problem == "regression":
        return regression_problems(name, values)
    if name not in categorical and len(words := odd_words(values)):
        return ["target " + mixed_column(name, words)]
    if is_measured(column, categorical):
        return [
            f"target column {name!r} holds {values.nunique()} different numbers such as {values.iloc[0]}, which are "
            f"no classes. Choose task=regression; or, if they are classes, say so with data.categorical=[{name}]."
        ]
    if values.nunique() > len(values) / 2:
        return [
            f"target column {name!r} holds {values.nunique()} different values in {len(values)} rows, such as "
            f"{values.iloc[0]!r}: too many for classes. Choose another target."
        ]
    return []


def regression_problems(name: str, values: pd.Series) -> list[str]:
    words = values[to_numbers(values).isna()]
    if words.empty:
        return []
    return [
        f"target column {name!r} holds words such as {words.iloc[0]!r} (row {words.index[0] + 1}), but a regression "
        "needs numbers. Choose task=classification, or mend the values."
    ]


def class_names_of(column: pd.Series) -> list[str]:
    """The labels, sorted: by value if all are numbers."""
    labels = column.dropna().unique().tolist()
    return sorted(labels, key=float) if is_numeric(column) else sorted(labels)


def unknown_labels(column: pd.Series, class_names: Sequence[str], path: str) -> list[str]:
    """Problems with labels that training does not know."""
    unknown = sorted(set(column.dropna()) - set(class_names))[:5]
    return [
        f"{path} holds the label {label!r}, which training does not know. {did_you_mean(label, class_names)} "
        "Mend the labels, or strip what is too much of them with data.label_strip."
        for label in unknown
    ]


def encode_targets(targets: pd.DataFrame, class_names: Sequence[str], path: str) -> Tensor:
    """Class ids ``(N,)``, or float32 ``(N, K)`` when there are no classes.

    Raises:
        DataError: a label that is no class, or a word where a number belongs.
    """
    if class_names:
        problems = unknown_labels(targets.iloc[:, 0], class_names, path)
        if problems:
            raise DataError("\n".join(problems))
        ids = {label: position for position, label in enumerate(class_names)}
        return torch.tensor([ids[label] for label in targets.iloc[:, 0]], dtype=torch.long)
    return torch.from_numpy(number_columns(targets, list(targets.columns), path)).float()
