"""Series in tables whose time column is not named, or that have no header line."""

import numpy as np
import pandas as pd
import pytest

from runner.data.series.table import SeriesTableDataModule
from runner.errors import DataError

SIZE = 120


def table(**columns):
    return pd.DataFrame({**columns, "y": np.sin(np.arange(SIZE) / 4).round(4)})


def dates(form="%Y-%m-%d"):
    return pd.date_range("2023-01-01", periods=SIZE, freq="D").strftime(form)


def module(tmp_path, frame, header=True, **options):
    frame.to_csv(tmp_path / "d.csv", index=False, header=header)
    options = {"target": "y", "input_steps": 8, "horizon_steps": 2} | options
    return SeriesTableDataModule(path=str(tmp_path / "d.csv"), **options)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%dT%H:%M:%SZ"])
def test_dates_out_of_order_are_rejected_without_a_time_column(tmp_path, form):
    shuffled = table(ds=dates(form)).sample(frac=1, random_state=1)
    (problem,) = module(tmp_path, shuffled).check()
    assert "not in the order of time" in problem and "data.features=[…]" in problem
    assert not module(tmp_path, shuffled, features=["y"]).check()


def test_dates_that_occur_twice_are_rejected_without_a_time_column(tmp_path):
    frame = pd.concat([table(ds=dates()), table(ds=dates())])
    (problem,) = module(tmp_path, frame).check()
    assert "times that occur more than once" in problem


def test_order_of_each_series_is_checked_without_a_time_column(tmp_path):
    long = pd.concat([table(ds=dates()).assign(item=name) for name in "ab"])
    assert not module(tmp_path, long, id_column="item").check()
    wrong = pd.concat([table(ds=dates()).assign(item="a"), table(ds=dates()[::-1]).assign(item="b")])
    (problem,) = module(tmp_path, wrong, id_column="item").check()
    assert "series 'b'" in problem and "not in the order of time" in problem


def test_dates_in_order_are_noted(tmp_path):
    data = module(tmp_path, table(ds=dates()))
    data.setup()
    assert data.facts.extra["notes"] == [
        "the steps are in the order of 'ds'; set data.time_column=ds to find gaps in it as well"
    ]


def test_shuffled_step_numbers_are_noted(tmp_path):
    seconds = 1_600_000_000 + 60 * np.arange(SIZE)
    data = module(tmp_path, table(t=seconds).sample(frac=1, random_state=1))
    data.setup()
    (note,) = data.facts.extra["notes"]
    assert "column 't' holds evenly spaced numbers that are not in order" in note


@pytest.mark.parametrize("other", [np.arange(SIZE), np.random.default_rng(0).normal(size=SIZE).round(3)])
def test_other_numbers_are_not_noted(tmp_path, other):
    data = module(tmp_path, table(t=other))
    data.setup()
    assert data.facts.extra["notes"] == []


@pytest.mark.parametrize("first", [np.arange(SIZE) + 0.5, dates(), dates("%d.%m.%Y %H:%M")], ids=str)
def test_missing_header_line_is_rejected(tmp_path, first):
    (problem,) = module(tmp_path, table(t=first), header=False, target=None).check()
    assert "looks like data" in problem and "Add a header line" in problem


@pytest.mark.parametrize("names", [["2019", "2020"], ["sensor 1", "sensor 2"], ["0", "1"]])
def test_headers_with_digits_are_read(tmp_path, names):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(SIZE, 2)).round(3), columns=names)
    assert not module(tmp_path, frame, target=names[0]).check()


def test_constant_target_is_rejected(tmp_path):
    frame = table(x=np.arange(SIZE) % 7).assign(y=3.0)
    (problem,) = module(tmp_path, frame).check()
    assert "the target ('y') has the same value in every training step" in problem
    assert not module(tmp_path, frame, target=["x", "y"]).check()


def test_differences_lost_in_float32_are_named(tmp_path):
    np.save(tmp_path / "d.npy", (1e9 + np.sin(np.arange(SIZE))).astype(np.float32))
    data = SeriesTableDataModule(path=str(tmp_path / "d.npy"), input_steps=8, horizon_steps=2)
    with pytest.raises(DataError, match="same value in every training step.*32 bits may have lost"):
        data.setup()
