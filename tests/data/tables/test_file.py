"""Tables in text files of any dialect, and what is no table."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from runner.data.tables.file import missing_columns, number_columns, read_table, to_numbers
from runner.errors import DataError


@pytest.fixture
def file(tmp_path: Path):
    def write(content: str | bytes, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def cells(table: pd.DataFrame) -> list[list[str | None]]:
    return [[None if pd.isna(value) else value for value in row] for row in table.itertuples(index=False)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_is_detected(file, separator: str):
    path = file(separator.join(["a", "b", "c"]) + "\n" + separator.join(["1", "x y", "2.5"]) + "\n")
    table = read_table(path)
    assert list(table.columns) == ["a", "b", "c"] and cells(table) == [["1", "x y", "2.5"]]


def test_separator_is_the_one_that_cuts_evenly(file):
    table = read_table(file("price;town\n1,5;Rome, Italy\n2,5;Bonn\n"))
    assert list(table.columns) == ["price", "town"] and cells(table)[0] == ["1.5", "Rome, Italy"]


def test_quoted_cells_may_hold_anything(file):
    table = read_table(file('name,note\n"Braund, Mr. O.","said ""no"""\nB,"two\nlines"\n'))
    assert cells(table) == [["Braund, Mr. O.", 'said "no"'], ["B", "two\nlines"]]


def test_missing_values_and_blanks(file):
    table = read_table(file("a, b ,c,d\n1,?,NA, x \n,  ,null,-999\n"), na_values=["?", "-999"])
    assert list(table.columns) == ["a", "b", "c", "d"]
    assert cells(table) == [["1", None, None, "x"], [None, None, None, None]]


def test_cells_stay_the_text_they_are(file):
    assert cells(read_table(file("zip,on\n007,True\n010,false\n"))) == [["007", "True"], ["010", "false"]]


def test_names_are_given_where_is_missing_header(file):
    table = read_table(file("1,x\n2,y\n"), columns=["number", "word"])
    assert list(table.columns) == ["number", "word"] and len(table) == 2


def test_gzipped_files_and_byte_order_marks(file):
    content = "\ufeffa,b\n1,ü\n".encode()
    for path in (file(content), file(gzip.compress(content), "table.csv.gz")):
        assert list(read_table(path).columns) == ["a", "b"] and cells(read_table(path)) == [["1", "ü"]]


def test_some_rows_only(file):
    path = file("a,b\n" + "1,2\n" * 50)
    assert len(read_table(path, num_rows=3)) == 3
    assert list(read_table(path, num_rows=0).columns) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n  \n", "is empty"),
        (b"PK\x03\x04\0\0\0binary", "holds binary data"),
        ("a,b\n1,ü\n".encode("latin-1"), "not UTF-8 text .*data.encoding=NAME .*save it as UTF-8"),
        (b"a,b,a\n1,2,3\n", "two columns are named 'a'"),
        (b"a,b\n1,2\n1,2,3\n", "not a table as expected: .*Expected 2 fields in line 3, saw 3"),
        (b"a,b\n1,2,3\n1,2,3\n", "not a table as expected"),
        (b'a,b\n1,"open\n', "not a table as expected"),
    ],
)
def test_invalid_table_is_named(file, content: bytes, message: str):
    path = file(content)
    with pytest.raises(DataError, match=message) as error:
        read_table(path)
    assert str(path) in str(error.value)


def test_encoding_broken_far_down_is_named(file):
    with pytest.raises(DataError, match="is not UTF-8 text .*after its first lines"):
        read_table(file(b"a,b\n" + b"1,2\n" * 50_000 + b"1,\xff\n"))


def test_missing_file_is_reported_with_its_nearest(file, tmp_path: Path):
    file("a,b\n1,2\n", "housing.csv")
    with pytest.raises(DataError, match=r"There is no file .*housng\.csv\. Did you mean 'housing\.csv'\?"):
        read_table(tmp_path / "housng.csv")
    with pytest.raises(DataError, match=r"Valid: housing\.csv\."):
        read_table(tmp_path / "zzzz.csv")
    with pytest.raises(DataError, match="and no folder .*nowhere"):
        read_table(tmp_path / "nowhere" / "a.csv")


def test_columns_must_be_as_many_as_named(file):
    with pytest.raises(DataError, match="has 3 columns .*but data.columns names 2"):
        read_table(file("1,2,3\n"), columns=["a", "b"])


def test_text_becomes_numbers_or_is_missing():
    numbers = to_numbers(pd.Series(["1", "-2.5e3", "x", None, "inf", "0x1"], dtype="str"))
    assert numbers[:2].tolist() == [1.0, -2500.0]
    assert numbers[2:].isna().all()


def test_columns_of_numbers_come_in_the_order_asked_for():
    table = pd.DataFrame({"a": ["1", "2"], "b": ["3", None]}, dtype="str")
    assert number_columns(table, ["a"], "t.csv").tolist() == [[1.0], [2.0]]
    found = number_columns(table, ["b", "a"], "t.csv", missing_allowed=True)
    assert np.array_equal(found, [[3.0, 1.0], [np.nan, 2.0]], equal_nan=True)
    with pytest.raises(DataError, match="t.csv, row 2: column 'b' holds nothing, expected a number"):
        number_columns(table, ["b"], "t.csv")
    with pytest.raises(DataError, match="t.csv has no column 'c'"):
        number_columns(table, ["c"], "t.csv")


def test_table_of_other_columns_is_reported_once():
    table = pd.DataFrame({"a": ["1"], "b": ["2"]})
    assert len(missing_columns(table, ["c", "d", "aa"], "t.csv")) == 3
    (problem,) = missing_columns(table, ["c", "d", "e", "f", "a"], "t.csv")
    assert problem == "t.csv lacks 4 columns: 'c', 'd', 'e', 'f'. It has 'a', 'b'."
