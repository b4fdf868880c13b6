"""The target of a table: classes or numbers, and what is neither."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from runner.data.tables.target import (
    class_names_of,
    encode_targets,
    problem_of,
    target_problems,
    unknown_labels,
)
from runner.errors import DataError

WORDS = ["cat", "dog", "cat", "dog"]
FEW_INTEGERS = ["0", "1", "2", "1"]
MANY_INTEGERS = [str(number % 60) for number in range(300)]
FRACTIONS = ["1.5", "2.0", "1.5", "3.0"]
CLASSIFY = "runner.tasks.classification.BinaryClassificationTask"
REGRESS = "runner.tasks.regression.RegressionTask"


def frame(*columns: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame({f"y{number}": column for number, column in enumerate(columns)}, dtype="str")


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (WORDS, "classification"),
        (FEW_INTEGERS, "classification"),
        (MANY_INTEGERS, "regression"),
        (FRACTIONS, "regression"),
        ([*FRACTIONS, None], "regression"),
    ],
)
def test_values_decide_without_a_task(column: list[str], problem: str):
    assert problem_of(frame(column), [], None) == problem
    assert problem_of(frame(column), [], "my.own.Task") == problem
    assert problem_of(frame(column), ["y0"], None) == "classification"


def test_task_decides():
    assert problem_of(frame(FRACTIONS), [], CLASSIFY) == problem_of(frame(FRACTIONS), [], "classification")
    assert problem_of(frame(WORDS), [], REGRESS) == "regression"
    assert problem_of(frame(FEW_INTEGERS, FEW_INTEGERS), [], None) == "regression"


@pytest.mark.parametrize(
    ("column", "problem", "message"),
    [
        (
            FRACTIONS,
            "classification",
            "3 different numbers such as 1.5, which do not look like classes. Choose task=regression",
        ),
        (MANY_INTEGERS, "classification", "60 different numbers"),
        (WORDS, "regression", "holds words such as 'cat' (row 1), but a regression needs numbers"),
        (["1", None, "2", "x"], "regression", "'x' (row 4)"),
        (["a", "a", None], "classification", "is 'a' in every row: there is nothing to learn"),
        (["7", "7", "7"], "regression", "is '7' in every row"),
        ([None, None], "classification", "is empty in every row"),
        (
            ["a", "b", "c", "d"],
            "classification",
            "4 different values in 4 rows, such as 'a': too many for classes",
        ),
        (
            ["1"] * 20 + ["2"] * 20 + ["?!"],
            "classification",
            "holds numbers except for 1 values such as '?!' in row 41",
        ),
    ],
)
def test_targets_that_do_not_fit_are_rejected(column: list[str], problem: str, message: str):
    (found,) = target_problems(frame(column), [], problem)
    assert message in found and "'y0'" in found


def test_classification_has_one_target():
    (found,) = target_problems(frame(WORDS, WORDS), [], "classification")
    assert "names 2 columns; a classification has one" in found


@pytest.mark.parametrize(
    ("column", "problem", "categorical"),
    [
        (WORDS, "classification", []),
        (FEW_INTEGERS * 3, "classification", []),
        (FEW_INTEGERS, "regression", []),
        (FRACTIONS, "regression", []),
        (FRACTIONS * 3, "classification", ["y0"]),
        (MANY_INTEGERS, "classification", ["y0"]),
    ],
)
def test_targets_that_fit(column: list[str], problem: str, categorical: list[str]):
    assert target_problems(frame(column), categorical, problem) == []


def test_class_names_are_sorted_by_value():
    assert class_names_of(pd.Series(["10", "9", None, "9"], dtype="str")) == ["9", "10"]
    assert class_names_of(pd.Series(["b", "a", "10"], dtype="str")) == ["10", "a", "b"]


def test_targets_become_ids_or_numbers():
    ids = encode_targets(frame(WORDS), ["cat", "dog"], "t.csv")
    assert ids.tolist() == [0, 1, 0, 1] and ids.dtype == torch.long
    numbers = encode_targets(frame(FRACTIONS, FEW_INTEGERS), [], "t.csv")
    assert numbers.shape == (4, 2) and numbers.dtype == torch.float32


def test_unknown_labels_are_reported():
    (problem,) = unknown_labels(frame(["<=50K.", "<=50K"])["y0"], ["<=50K", ">50K"], "test.csv")
    assert "test.csv holds the label '<=50K.'" in problem and "Did you mean '<=50K'" in problem
    assert "data.label_strip" in problem
    with pytest.raises(DataError, match="holds the label 'dog'"):
        encode_targets(frame(WORDS), ["cat"], "t.csv")
