"""Numbers as tables spell them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from runner.data.tables.file import number_columns, read_table
from runner.data.tables.numbers import NumberFormat, is_number, parse_numbers, read_formats
from runner.errors import DataError


def table_of(**columns: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype="str")


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (["1,5", "-0,25", "12"], [1.5, -0.25, 12]),
        (["0,126", "1,285"], [0.126, 1.285]),  # no group of thousands begins with 0
        (["1,234.5", "950"], [1234.5, 950]),
        (["1.234,5", "950"], [1234.5, 950]),
        (["1,234,567", "1,234"], [1234567, 1234]),
        (["1.234.567", "1.234"], [1234567, 1234]),
        (["1 234", "5"], [1234, 5]),
        (["1\u00a0234,5", "5,0"], [1234.5, 5]),
        (["1'234.5", "5"], [1234.5, 5]),
        (["12.5%", "3 %"], [12.5, 3]),
        (["12,5%", "-3%"], [12.5, -3]),
        (["$5", "-$1,250.50", "$ 7"], [5, -1250.5, 7]),
        (["5 €", "1.250,50 €"], [5, 1250.5]),
        (["\N{MINUS SIGN}5", "3"], [-5, 3]),
        (["1.5", "-", "1e3"], [1.5, np.nan, 1000]),
        (["1,5", "--", "2,5"], [1.5, np.nan, 2.5]),
        (["3", "(5)", "(1,250.50)"], [3, -5, -1250.5]),  # accounting
        (["$3", "($5.00)", "$(7)"], [3, -5, -7]),
        (["1,50 EUR", "1.250,50 EUR", "EUR 7"], [1.5, 1250.5, 7]),
        (["1.234", "5.678"], [1.234, 5.678]),  # plain numbers stay what they are
    ],
)
def test_every_spelling_is_read(tmp_path: Path, values: list[str], numbers: list[float]):
    path = tmp_path / "t.csv"
    path.write_text("x;y\n" + "".join(f"{value};a\n" for value in values))
    found = number_columns(read_table(path), ["x"], path, missing_allowed=True)[:, 0]
    assert np.array_equal(found, numbers, equal_nan=True)


@pytest.mark.parametrize("values", [["1,234", "5,678"], ["1,234", "950"], ["$1,234"]])
def test_two_readings_are_rejected_and_an_option_decides(values: list[str]):
    table = table_of(x=values)
    with pytest.raises(
        DataError, match=r"'x' can be read in two ways: '\$?1,234' is 1.234 .* and 1234 .*data.decimal=comma"
    ):
        read_formats(table, "t.csv")
    assert read_formats(table, "t.csv", decimal="comma")["x"] == NumberFormat(",")
    assert read_formats(table, "t.csv", decimal=".")["x"] == NumberFormat(".", ",")
    assert read_formats(table, "t.csv", thousands="comma")["x"] == NumberFormat(".", ",")


def test_other_columns_of_a_file_are_evidence():
    assert read_formats(table_of(x=["1,234"], y=["0,5"]), "t.csv")["x"] == NumberFormat(",")
    assert read_formats(table_of(x=["1,234"], y=["0.5"]), "t.csv")["x"] == NumberFormat(".", ",")
    assert read_formats(table_of(x=["1.234"], y=["0,5"]), "t.csv")["x"] == NumberFormat(",", ".")
    with pytest.raises(DataError, match="two ways"):
        read_formats(table_of(x=["1,234"], y=["0,5"], z=["0.5"]), "t.csv")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            ["1,5", "1.5", "2,5", "2.5"],
            "some with a decimal comma and some with a decimal point: '1,5', '1.5'",
        ),
        (["12%", "0.12"], "mixes numbers with different signs"),
        (["$5", "5 €", "5"], "mixes numbers with different signs"),
    ],
)
def test_mixed_spellings_are_rejected(values: list[str], message: str):
    with pytest.raises(DataError, match=message):
        read_formats(table_of(x=values), "t.csv")


def test_words_have_no_format():
    words = table_of(
        a=["x", "-", "y"], b=["10-20", "30-40", "5"], c=["1.2.3", "1.2", "1.0.0"], d=["12:30", "1:05", "2:00"]
    )
    assert read_formats(words, "t.csv") == {}


def test_parsing_agrees_with_pandas(tmp_path: Path):
    values = [f"{value:.4f}".replace(".", ",") for value in np.random.default_rng(0).normal(size=50)]
    (tmp_path / "t.csv").write_text("x;y\n" + "".join(f"{value};1\n" for value in values))
    wanted = pd.read_csv(tmp_path / "t.csv", sep=";", decimal=",")["x"]
    assert parse_numbers(pd.Series(values), decimal=",").tolist() == wanted.tolist()


def test_numbers():
    assert all(map(is_number, ["1", "1.5", "1,5", "$5", "12%", "1.234,5"]))
    assert not any(map(is_number, ["", "x1", "a,b", "-"]))
