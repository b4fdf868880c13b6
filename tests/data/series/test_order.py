"""Order, duplicates and gaps of the column of time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from runner.data.series.order import find_gaps, read_times
from runner.data.series.table import SeriesTableDataModule

HOURS = pd.date_range("2022-10-15", periods=200, freq="h", tz="UTC")
TIMES = {
    "epoch seconds": HOURS.tz_localize(None).as_unit("s").astype("int64").astype(str),
    "epoch milliseconds": HOURS.tz_localize(None).as_unit("ms").astype("int64").astype(str),
    "step numbers": [str(step) for step in range(200)],
    "fractions": [str(step / 10) for step in range(200)],
    "UTC offset that changes": [
        str(time) for time in HOURS.tz_convert("Europe/Berlin")
    ],  # back to +01:00 on 30 October
    "midnight as a date": [str(time) if time.hour else str(time.date()) for time in HOURS.tz_localize(None)],
    "day first": list(HOURS.strftime("%d/%m/%Y %H:%M")),
    "German": list(HOURS.strftime("%d.%m.%Y %H:%M")),
    "Zulu": list(HOURS.strftime("%Y-%m-%dT%H:%M:%SZ")),
    "dates as numbers": list(pd.date_range("2022-10-15", periods=200).strftime("%Y%m%d")),
    "months": list(pd.date_range("2000-01-01", periods=200, freq="MS").strftime("%Y-%m")),
}


def module(path, times, num_steps=200, **options):
    values = np.sin(np.arange(num_steps))
    pd.DataFrame({"ds": times, "y": values}).to_csv(path / "d.csv", index=False)
    return SeriesTableDataModule(
        str(path / "d.csv"),
        **{"time_column": "ds", "target": "y", "input_steps": 10, "horizon_steps": 4} | options,
    )


@pytest.mark.parametrize("kind", TIMES)
def test_times_of_every_kind_are_checked(tmp_path, kind):
    times = list(TIMES[kind])
    data = module(tmp_path, times)
    assert data.check() == []
    data.setup("fit")
    assert data.notes == [] and not data.dropped.entries
    times[30], times[120] = times[120], times[30]
    (problem,) = module(tmp_path, times).check()
    assert "not in the order of time: row 32 " in problem and "Sort it by 'ds'" in problem
    times = list(TIMES[kind])
    times[50] = times[49]
    (problem,) = module(tmp_path, times).check()
    assert "more than once" in problem and "rows 50 and 51" in problem and "Sort" not in problem


def test_numbers_are_not_compared_as_text():
    assert read_times(pd.Series(["9", "10", "11"])).tolist() == [9, 10, 11]


def test_unreadable_time_is_reported(tmp_path):
    data = module(tmp_path, [f"step-{number}" for number in range(200)])
    data.setup("fit")
    assert len(data.notes) == 1 and "order of the steps was not checked" in data.notes[0]


def test_windows_that_span_a_gap_are_left_out(tmp_path):
    kept = [*range(50), *range(74, 176), *range(180, 228)]  # 24 and 4 hours are missing
    times = pd.date_range("2022-10-15", periods=300, freq="h")[kept]
    data = module(tmp_path, times.astype(str))
    data.setup("fit")
    (note,) = data.notes
    assert "2 gaps in 'ds': 28 steps are missing" in note
    assert "24 steps, lies between 2022-10-17 01:00:00 and 2022-10-18 02:00:00" in note
    hours = np.asarray(kept)
    for split, begin, end in (("train", 10, 120), ("val", 120, 160), ("test", 160, 200)):
        source = data.splits[split].source
        expected = [
            row for row in range(begin - 10, end - 13) if hours[row + 13] - hours[row] == 13
        ]  # of all windows whose forecast lies in the split
        assert (source.starts + source.first_row).tolist() == expected
    counts = {entry.where: (entry.count, entry.total) for entry in data.dropped.entries}
    assert counts == {"train": (13, 107), "val": (8, 37), "test": (2, 37)}


def test_series_of_nothing_but_gaps_is_rejected(tmp_path):
    days = pd.date_range("2022-10-15", periods=400, freq="D")
    kept = np.delete(np.arange(400), np.arange(5, 400, 6))[:200]
    (problem,) = module(tmp_path, days[kept].astype(str)).check()
    assert "spans a gap in time" in problem and "rows with empty cells" in problem


@pytest.mark.parametrize(
    ("times", "rows", "missing"),
    [
        (pd.date_range("2020-01-01", periods=40, freq="MS").delete([7]), [7], [1]),
        (pd.date_range("2020-01-31", periods=40, freq="ME"), [], []),
        (pd.date_range("2020-01-01", periods=12, freq="YS").delete([3, 4]), [3], [2]),
        (pd.bdate_range("2020-01-01", periods=90).delete([10]), [], []),  # a holiday
        (pd.bdate_range("2020-01-01", periods=90).delete(range(10, 30)), [10], [20]),
        (pd.date_range("2020-01-01", periods=90).delete([10]), [10], [1]),
        (np.delete(np.arange(50), [20, 21, 22]), [20], [3]),
    ],
)
def test_gaps_of_months_years_trading_days_and_numbers(times, rows, missing):
    gaps = find_gaps(np.asarray(times))
    assert (gaps.rows.tolist(), gaps.missing.tolist(), gaps.is_regular) == (rows, missing, True)


def test_irregular_steps_have_no_gaps():
    seconds = np.cumsum(np.random.default_rng(0).exponential(60, 200))
    gaps = find_gaps(seconds)
    assert not gaps.is_regular and not len(gaps.rows)


def test_rows_without_a_time_are_counted(tmp_path):
    times = list(TIMES["Zulu"])
    times[198], times[199] = "", "?"
    data = module(tmp_path, times)
    data.setup("fit")
    (entry,) = data.dropped.entries
    assert (entry.what, entry.count, entry.total, entry.examples) == ("rows", 2, 200, ("row 199", "row 200"))
