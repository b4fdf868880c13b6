"""What a column of a table is."""

from __future__ import annotations

import pandas as pd
import pytest

from runner.data.tables.column import assign_roles, column_problems, is_numeric, odd_words


def table(**columns: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype="str")


MIXED = table(
    age=["22", None, "38.5", "1e2", "7"],
    town=["Rome", "Bonn", None, "Rome", "5"],
    rooms=["1", "2", "2", "1", "2"],
    target=["a", "b", "a", "b", "a"],
)


def test_words_are_categories_and_numbers_are_numbers():
    roles = assign_roles(MIXED, ["target"])
    assert (roles.numeric, roles.categorical, roles.notes) == (["age", "rooms"], ["town"], [])


def test_user_overrides_the_decision():
    assert assign_roles(MIXED, ["target"], ignore=["town"]).categorical == []
    assert assign_roles(MIXED, ["target"], categorical=["age"]).categorical == ["age", "town"]
    assert assign_roles(MIXED, ["target"], max_integer_categories=2).categorical == ["town", "rooms"]
    assert assign_roles(MIXED, ["target"], max_integer_categories=1).numeric == ["age", "rooms"]


def test_column_that_counts_the_rows_is_noted():
    counted = table(id=["4", "5", "6", "7"], x=["4", "1", "2", "3"], y=["a", "b", "a", "b"])
    roles = assign_roles(counted, ["y"])
    assert roles.numeric == ["id", "x"]
    assert roles.notes == ["column 'id' numbers the rows: consider leaving it out with data.ignore=[id]"]
    assert assign_roles(counted, ["y"], ignore=["id"]).notes == []


def test_index_that_pandas_writes_is_left_out():
    roles = assign_roles(table(**{"Unnamed: 0": ["0", "1", "2"], "x": ["5", "5", "6"]}), [])
    assert roles.numeric == ["x"] and "left out" in roles.notes[0]


def test_few_words_among_numbers_are_odd():
    numbers = [str(number) for number in range(40)]
    assert odd_words(pd.Series([*numbers, "n/k", None], dtype="str")).to_dict() == {40: "n/k"}
    assert odd_words(pd.Series(numbers, dtype="str")).empty
    assert odd_words(pd.Series([*numbers[:5], "a", "b"], dtype="str")).empty  # a column of words
    late = pd.Series(numbers * 5 + ["x"], dtype="str")
    assert not is_numeric(late) and odd_words(late).index.tolist() == [200]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"x": [None, None]}, {}, "column 'x' is empty in every row; leave it out with data.ignore=[x]."),
        ({"x": ["1"] * 30 + ["low"]}, {}, "1 values such as 'low' in row 31"),
        ({}, {}, "no column is left to predict from"),
        ({"x": ["1", "2"]}, {"ignore": ["x"]}, "no column is left"),
        (
            {"price": ["1", "2"]},
            {"ignore": ["prize"]},
            "data.ignore names 'prize', which is not a column. Did you mean 'price'?",
        ),
        (
            {"price": ["1", "2"]},
            {"categorical": ["foo"]},
            "data.categorical names 'foo', which is not a column. Valid: price, y.",
        ),
    ],
)
def test_problems_say_what_to_do(columns: dict, options: dict, message: str):
    length = max(map(len, columns.values()), default=2)
    data = table(**columns, y=["a"] * length)
    options = {"ignore": [], "categorical": []} | options
    assert any(message in problem for problem in column_problems(data, ["y"], **options))


def test_sound_columns_have_no_problems():
    assert column_problems(MIXED, ["target"], [], []) == []
    mixed = table(x=["1"] * 30 + ["low"], y=["a"] * 31)
    assert column_problems(mixed, ["y"], [], ["x"]) == column_problems(mixed, ["y"], ["x"], [])[1:] == []
