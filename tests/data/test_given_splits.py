"""Splits that separate files or a column of the data name, for tables and tables of texts."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from runner.data.given_splits import parts_of_column
from runner.data.tables.table import TableDataModule
from runner.data.text.file import TextTableDataModule
from runner.errors import DataError

NAMES = ("train",) * 4 + ("validation", "Test")


def write(
    path: Path, num_rows: int, first: int = 0, header: bool = True, parts: Sequence[str] = NAMES
) -> str:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        if header:
            writer.writerow(["size", "title", "body", "label", "part"])
        for row in range(first, first + num_rows):
            part = parts[row % len(parts)]
            writer.writerow([row, f"title {row}", f"body {row}", "yes" if row // 6 % 2 else "no", part])
    return str(path)


def sizes(data: Any) -> dict[str, int]:
    data.setup()
    return {split: len(part) for split, part in data.splits.items()}


TABLE: dict[str, Any] = {"target": "label", "ignore": ["title", "body", "part"]}
TEXT: dict[str, Any] = {"text": "body", "min_count": 1}


def test_column_of_a_table(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", 60)
    data = TableDataModule(path, target="label", ignore=["title", "body"], split_column="part")
    assert sizes(data) == {"train": 40, "val": 10, "test": 10}
    assert data.splits["val"].indices.tolist() == list(range(4, 60, 6))
    assert [name for name, _ in data.features()] == ["size"], "the column is no feature"


def test_column_of_texts(tmp_path: Path) -> None:
    data = TextTableDataModule(write(tmp_path / "t.csv", 60), split_column="part", **TEXT)
    assert sizes(data) == {"train": 40, "val": 10, "test": 10}
    assert data.splits["test"].indices.tolist() == list(range(5, 60, 6))


@pytest.mark.parametrize("kind", ["table", "text"])
def test_missing_validation_rows_are_split_off(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "t.csv", 60, parts=("train", "train", "test"))
    if kind == "table":
        data: Any = TableDataModule(path, target="label", ignore=["title", "body"], split_column="part")
    else:
        data = TextTableDataModule(path, split_column="part", val_fraction=0.2, **TEXT)
    assert sizes(data) == {"train": 32, "val": 8, "test": 20}


@pytest.mark.parametrize("module", [TableDataModule, TextTableDataModule])
def test_separate_files(tmp_path: Path, module: Any) -> None:
    options = TABLE if module is TableDataModule else TEXT
    path, val = write(tmp_path / "t.csv", 60), write(tmp_path / "v.csv", 12, 100)
    test = write(tmp_path / "x.csv", 18, 200)
    assert sizes(module(path, val_path=val, test_path=test, **options)) == {
        "train": 60,
        "val": 12,
        "test": 18,
    }
    alone = sizes(module(path, test_path=test, val_fraction=0.2, **options))
    assert alone == {"train": 48, "val": 12, "test": 18}


@pytest.mark.parametrize("module", [TableDataModule, TextTableDataModule])
def test_column_and_file_exclude_each_other(tmp_path: Path, module: Any) -> None:
    options = TABLE if module is TableDataModule else TEXT
    path = write(tmp_path / "t.csv", 60)
    problems = module(path, split_column="part", test_path=path, **options).check()
    assert [line for line in map(str, problems) if "data.split_column and data.test_path" in line]


def test_several_columns_of_texts_are_joined(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", 60)
    data = TextTableDataModule(path, text=["title", "body"], min_count=1)
    data.setup()
    assert data.texts[3] == "title 3\nbody 3"
    assert [text for _, text in data.read_new(path)][3] == "title 3\nbody 3"


def test_texts_without_a_header_line(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", 60, header=False)
    names = ["size", "title", "body", "label", "part"]
    data = TextTableDataModule(path, columns=names, **TEXT)
    data.setup()
    assert len(data.texts) == 60 and data.texts[0] == "body 0"


def test_values_that_name_no_split_are_rejected() -> None:
    assert parts_of_column(["Train", "dev", "testing"], "part", "t.csv") == ["train", "val", "test"]
    with pytest.raises(DataError, match=r"data.split_column=part: t.csv holds 'x', expected"):
        parts_of_column(["train", "x"], "part", "t.csv")
    with pytest.raises(DataError, match="no row of t.csv is in the training split"):
        parts_of_column(["test"], "part", "t.csv")


def test_missing_split_column_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", 60)
    (problem,) = TableDataModule(path, target="label", split_column="parts").check()
    assert "data.split_column=parts" in problem and "Did you mean 'part'?" in problem
    (problem,) = TextTableDataModule(path, split_column="parts", **TEXT).check()
    assert "has no column 'parts'. Did you mean 'part'?" in problem
