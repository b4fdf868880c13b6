"""Columns of dates become numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from runner.data.tables.dates import find_date_format, parts_of, used_parts
from runner.data.tables.table import TableDataModule
from runner.errors import DataError

TIMES = pd.Series(pd.date_range("2019-03-28 07:30", periods=80, freq="101h"))
STORED = [
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%Y/%m/%d %H:%M",
    "%d %b %Y",
    "%B %d, %Y",
    "%Y.%m.%d",
    "%d/%b/%Y",
    "%A, %d %B %Y",
    "%a, %d %b %Y",
]


@pytest.mark.parametrize("stored", STORED)
def test_formats_are_detected(stored: str):
    column = TIMES.dt.strftime(stored).rename("when")
    form = find_date_format(column)
    wanted = np.stack([TIMES.dt.year, TIMES.dt.month, TIMES.dt.day, TIMES.dt.weekday], axis=1)
    assert np.array_equal(parts_of(column, form, ["year", "month", "day", "weekday"]), wanted)
    assert used_parts(column, form, None) == [
        "year",
        "month",
        "day",
        "weekday",
        *(["hour"] if "%H" in stored else []),
    ]
    if "%H" in stored:
        assert np.array_equal(parts_of(column, form, ["hour"])[:, 0], TIMES.dt.hour)


@pytest.mark.parametrize(
    "values", [["1.5", "2.5"], ["a-b", "c-d"], ["12", "13"], ["2024-01-01", "soon"], ["555-1234"]]
)
def test_other_columns_are_no_dates(values: list[str]):
    assert find_date_format(pd.Series(values, name="x")) is None


def table(path: Path, stored: str, times: pd.Series = TIMES) -> Path:
    labels = np.where(times.dt.day % 2 == 0, "even", "odd")
    pd.DataFrame({"when": times.dt.strftime(stored), "y": labels}).to_csv(path, index=False)
    return path


def test_table_of_dates(tmp_path: Path):
    path = table(tmp_path / "t.csv", "%Y-%m-%d %H:%M")
    data = TableDataModule(path=str(path), target="y")
    assert data.check() == []
    data.setup()
    names = [f"when {part}" for part in ("year", "month", "day", "weekday", "hour")]
    assert data.facts.get("feature_names") == names and {column for _, column in data.features()} == {"when"}
    torch.save(data.state_dict(), tmp_path / "state.pt")
    other = TableDataModule(path="gone.csv", target="y")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    (tmp_path / "new.csv").write_text("when\n2024-02-29 23:15\n")
    ((_, row),) = other.read_inputs([str(tmp_path / "new.csv")])
    assert row.tolist() == [2024, 2, 29, 3, 23]  # a Thursday
    (tmp_path / "new.csv").write_text("when\nsoon\n")
    with pytest.raises(
        DataError, match="row 1: column 'when' holds 'soon', expected a date such as 2024-12-31"
    ):
        other.read_inputs([str(tmp_path / "new.csv")])


def test_parts_and_columns_can_be_chosen(tmp_path: Path):
    path = str(table(tmp_path / "t.csv", "%Y-%m-%d"))
    data = TableDataModule(path=path, target="y", date_parts=["days"])
    data.setup()
    days = (TIMES.dt.normalize() - pd.Timestamp(1970, 1, 1)).dt.days
    assert data.facts.get("feature_names") == ["when days"]
    assert data.splits["train"].source.inputs[:, 0].tolist() == days.tolist()
    categories = TableDataModule(path=path, target="y", dates=[], min_category_count=1)
    categories.setup()
    assert all("=" in name for name in categories.facts.get("feature_names"))


def test_two_orders_are_rejected_and_an_option_decides(tmp_path: Path):
    early = TIMES[(TIMES.dt.day <= 12)]
    path = str(table(tmp_path / "t.csv", "%m/%d/%Y", pd.concat([early] * 3, ignore_index=True)))
    (problem,) = TableDataModule(path=path, target="y").check()
    assert "can be read in two ways" in problem and "data.day_first=true" in problem
    for day_first, part in ((False, early.dt.month), (True, early.dt.day)):
        data = TableDataModule(path=path, target="y", day_first=day_first)
        assert data.check() == []
        data.setup()
        place = data.facts.get("feature_names").index("when month")
        assert set(data.splits["train"].source.inputs[:, place].tolist()) == set(map(float, part))


def test_stated_date_column_must_contain_dates(tmp_path: Path):
    path = tmp_path / "t.csv"
    pd.DataFrame({"a": ["x", "z"] * 20, "b": range(40), "y": ["p", "q"] * 20}).to_csv(path, index=False)
    (problem,) = TableDataModule(path=str(path), target="y", dates=["b"]).check()
    assert "data.dates names 'b', but its values such as '0' are not dates" in problem
    (problem,) = TableDataModule(path=str(path), target="y", dates=["a"]).check()
    assert "data.dates names 'a', but its values such as 'x' are not dates" in problem


@pytest.mark.parametrize("stored", ["%Y-%m", "%Y/%m", "%m/%Y", "%b %Y", "%B %Y", "%b-%Y", "%b-%y"])
def test_months_have_a_year_and_a_month(stored: str):
    column = TIMES.dt.strftime(stored).rename("when")
    form = find_date_format(column)
    assert used_parts(column, form, None) == ["year", "month"]
    wanted = np.stack([TIMES.dt.year, TIMES.dt.month], axis=1)
    assert np.array_equal(parts_of(column, form, ["year", "month"]), wanted)


def test_numbers_are_dates_if_they_are_named(tmp_path: Path):
    path = str(table(tmp_path / "t.csv", "%Y%m%d"))
    data = TableDataModule(path=path, target="y", dates=["when"])
    assert data.check() == []
    data.setup()
    assert data.facts.get("feature_names") == [f"when {part}" for part in ("year", "month", "day", "weekday")]
    assert data.splits["train"].source.inputs[:, 2].tolist() == TIMES.dt.day.tolist()
    data = TableDataModule(path=path, target="y")
    data.setup()
    assert data.facts.get("feature_names") == ["when"]
    (note,) = data.facts.get("notes")
    assert "column 'when' holds numbers such as 20190328, which may be dates; data.dates=[when]" in note


def test_other_numbers_of_eight_digits_are_not_noted(tmp_path: Path):
    frame = pd.DataFrame({"a": range(20191000, 20191040), "y": ["p", "q"] * 20}).sample(
        frac=1, random_state=0
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = TableDataModule(path=str(tmp_path / "t.csv"), target="y")
    data.setup()
    assert data.facts.get("notes") == []
