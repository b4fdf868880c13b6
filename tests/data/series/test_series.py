"""Files of series, windows of them, and how they are cut."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch

import runner.data.series.file as series_file
from runner.data.series.file import SeriesFile
from runner.data.series.table import SeriesTableDataModule
from runner.data.series.waves import WavesDataModule
from runner.data.series.window import WindowSource, fill_from_past, statistics
from runner.errors import DataError


def write(path, num_steps=200, **changes):
    hours = pd.date_range("2020-01-01", periods=num_steps, freq="h").astype(str)
    table = pd.DataFrame({"time": hours, "a": np.arange(num_steps) * 1.5, "b": np.sin(np.arange(num_steps))})
    for name, values in changes.items():
        table[name] = values
    table.to_csv(path, index=False)
    return table


def split_table(path, **options):
    """Windows of 10 and 4 steps of a table cut after 100, 140 and 190 rows."""
    return SeriesTableDataModule(
        str(path), time_column="time", input_steps=10, horizon_steps=4, rows=[100, 40, 50], **options
    )


def test_windows_equal_those_of_a_loop():
    values = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    source = WindowSource(values, 5, 2, [2, 0], [0, 0, 0])
    assert len(source) == 24
    inputs, targets = source.gather(torch.tensor([0, 7, 23]))
    for row, start in enumerate((0, 7, 23)):
        assert np.array_equal(inputs[row], values[start : start + 5])
        assert np.array_equal(targets[row], values[start + 5 : start + 7][:, [2, 0]])
    assert torch.equal(source[7][0], inputs[1]) and source.name(7) == "row 13"


def test_gaps_are_filled_from_the_past_only():
    nan = float("nan")
    windows = np.array([[[nan, 1], [2, nan], [nan, nan], [5, 3]]], dtype=np.float32)
    assert fill_from_past(windows, np.float32([9, 8])).tolist() == [[[9, 1], [2, 1], [2, 1], [5, 3]]]


def test_splits_follow_one_another_and_scales_are_those_of_training(tmp_path):
    table = write(tmp_path / "s.csv")
    data = split_table(tmp_path / "s.csv", target="b", season_steps=5)
    assert data.check() == []
    data.setup("fit")
    assert data.mean == pytest.approx([table.a[:100].mean(), table.b[:100].mean()], rel=1e-6)
    assert data.std == pytest.approx([table.a[:100].std(ddof=0), table.b[:100].std(ddof=0)], rel=1e-6)
    assert [len(data.splits[split]) for split in ("train", "val", "test")] == [87, 37, 47]
    # Targets of a split begin where the split begins and end where it ends.
    for split, begin, end in (("train", 10, 100), ("val", 100, 140), ("test", 140, 190)):
        source = data.splits[split].source
        assert source[0][1][0].item() == pytest.approx(table.b[begin])
        assert source[len(source) - 1][1][-1].item() == pytest.approx(table.b[end - 1])
        assert source.name(0) == table.time[begin]
    assert data.facts.num_outputs == 4 and data.facts.extra["target_columns"] == [1]


def test_missing_values_of_a_file(tmp_path):
    table = write(tmp_path / "s.csv", num_steps=60)
    table.loc[[3, 20], "b"] = None
    table.to_csv(tmp_path / "s.csv", index=False, na_rep="?")
    data = SeriesTableDataModule(str(tmp_path / "s.csv"), features=["a", "b"], input_steps=6, horizon_steps=2)
    data.setup("fit")
    inputs, targets = data.splits["train"].source.gather(torch.arange(len(data.splits["train"])))
    assert not inputs.isnan().any()
    assert targets.isnan().sum() == 2  # row 20 is a target of two windows, row 3 of none
    assert inputs[0, 3, 1] == inputs[0, 2, 1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "c"}, "no column 'c'"),
        ({"time_column": "tme"}, "Did you mean 'time'?"),
        ({"features": ["a", "word"]}, "expected a number"),
        ({"input_steps": 190}, "training needs at least 214 steps"),
        ({"rows": [300, 10, 10]}, "needs 320 steps; the series has 200"),
        ({"path": "nowhere.csv"}, "There is no file"),
    ],
)
def test_problems_are_reported_before_work(tmp_path, options, said):
    write(tmp_path / "s.csv", word="x")
    problems = SeriesTableDataModule(**{"path": str(tmp_path / "s.csv")} | options).check()
    assert len(problems) == 1 and said in problems[0]


def test_steps_out_of_order_are_rejected(tmp_path):
    table = write(tmp_path / "s.csv")
    table.iloc[[50, 10]] = table.iloc[[10, 50]].to_numpy()
    table.to_csv(tmp_path / "s.csv", index=False)
    assert (
        "is not in the order of time: row 12"
        in SeriesTableDataModule(str(tmp_path / "s.csv"), time_column="time").check()[0]
    )


def test_season_must_fit_into_the_window():
    with pytest.raises(DataError, match="season_steps=200 is longer than input_steps=96"):
        WavesDataModule(season_steps=200)


def test_large_table_becomes_a_memory_map_once(tmp_path, monkeypatch):
    monkeypatch.setattr(series_file, "LARGE_FILE_BYTES", 1000)
    monkeypatch.setattr(series_file, "ROWS_A_PIECE", 37)
    write(tmp_path / "s.csv")
    whole = SeriesFile().read(tmp_path / "s.csv")
    large = SeriesFile(time_column="time").read(tmp_path / "s.csv", tmp_path / "cache")
    assert isinstance(large.values, np.memmap) and np.array_equal(large.values, whole.values)
    made = [*(tmp_path / "cache" / "series").iterdir()]
    SeriesFile(time_column="time").read(tmp_path / "s.csv", tmp_path / "cache")
    assert made == [*(tmp_path / "cache" / "series").iterdir()] and len(made) == 1


def test_series_larger_than_memory_trains_from_disk(tmp_path):
    path = tmp_path / "s.npy"
    big = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(200_000, 80))
    big[::1000] = 1.0
    big.flush()
    tracemalloc.start()
    data = SeriesTableDataModule(str(path), rows=[150_000, 20_000, 20_000], batch_size=64)
    data.setup("fit")
    batches = iter(data.val_dataloader())
    shapes = {tuple(next(batches)["inputs"].shape) for _ in range(20)}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert shapes == {(64, 96, 80)}
    assert peak < path.stat().st_size / 2


def test_reads_the_last_steps_of_a_new_file(tmp_path):
    write(tmp_path / "s.csv")
    data = SeriesTableDataModule(str(tmp_path / "s.csv"), input_steps=10, horizon_steps=4)
    data.setup("fit")
    fresh = SeriesTableDataModule(str(tmp_path / "s.csv"), input_steps=10, horizon_steps=4)
    fresh.load_state_dict(data.state_dict())
    table = write(tmp_path / "new.csv", num_steps=30)
    ((name, inputs),) = fresh.read_inputs([str(tmp_path / "new.csv")])
    assert name.endswith("new.csv") and np.allclose(inputs[:, 1], table.b[20:])
    write(tmp_path / "short.csv", num_steps=5)
    with pytest.raises(DataError, match="has 5 steps of 2 columns; expected at least 10"):
        fresh.read_inputs([str(tmp_path / "short.csv")])


def test_file_to_forecast_is_read_as_that_of_training(tmp_path):
    write(tmp_path / "s.csv")
    options = {"input_steps": 10, "horizon_steps": 4, "na_values": [-200], "time_column": "time"}
    data = SeriesTableDataModule(str(tmp_path / "s.csv"), **options)
    data.setup("fit")
    table = write(tmp_path / "new.csv", num_steps=12)
    table.loc[11, "a"] = -200
    table.to_csv(tmp_path / "new.csv", index=False)
    ((_, inputs),) = data.read_inputs([str(tmp_path / "new.csv")])
    assert inputs[-2:, 0].tolist() == [15.0, 15.0]
    table.drop(columns="time").to_csv(tmp_path / "untimed.csv", index=False)
    assert torch.equal(data.read_inputs([str(tmp_path / "untimed.csv")])[0][1], inputs)
    table.iloc[::-1].to_csv(tmp_path / "backwards.csv", index=False)
    with pytest.raises(DataError, match="not in the order of time"):
        data.read_inputs([str(tmp_path / "backwards.csv")])


def noisy_sine():
    return (np.sin(np.arange(200) / 4) + 0.1 * np.random.default_rng(0).normal(size=200)).round(4)


@pytest.mark.parametrize("offset", [0, 1e9, -1e12])
def test_standardized_values_do_not_depend_on_an_offset(tmp_path, offset):
    values = noisy_sine()
    write(tmp_path / "s.csv", y=[f"{int(offset) + value:.4f}" for value in values])
    data = SeriesTableDataModule(str(tmp_path / "s.csv"), features=["y"], input_steps=10, horizon_steps=4)
    data.setup("fit")
    scaled = (values - values[:120].mean()) / values[:120].std()
    batch = data.splits["train"].__getitems__([(0, place) for place in range(5)])
    wanted = np.stack([scaled[start : start + 14] for start in range(5)])
    assert torch.cat([batch["inputs"], batch["standardized"]], 1)[..., 0].numpy() == pytest.approx(
        wanted, abs=5e-4
    )
    assert data.mean == pytest.approx([offset + values[:120].mean()], abs=1e-4)
    assert data.std == pytest.approx([values[:120].std()], rel=1e-3)
    assert data.input_dtype == ("float64" if offset else "float32")
    raw = data.splits["train"].raw_inputs(range(5))
    assert data.normalize.half().float()(raw)[..., 0].numpy() == pytest.approx(wanted[:, :10], abs=5e-4)


def test_statistics_of_large_numbers_whose_first_value_is_missing():
    values = 1e9 + np.random.default_rng(0).normal(size=(500, 2))
    values[0, 0] = values[3, 1] = np.nan
    mean, std = statistics(values, ["a", "b"])
    assert mean == pytest.approx(np.nanmean(values, 0), rel=1e-14)
    assert std == pytest.approx(np.nanstd(values, 0), rel=1e-6)
    assert statistics(np.full((50, 1), 0.1), ["a"])[1] == [0]


def test_large_table_keeps_float64_and_its_gaps(tmp_path, monkeypatch):
    monkeypatch.setattr(series_file, "LARGE_FILE_BYTES", 1000)
    monkeypatch.setattr(series_file, "ROWS_A_PIECE", 37)
    table = write(tmp_path / "s.csv", num_steps=210, b=1e9 + np.sin(np.arange(210))).drop(index=range(70, 80))
    table.to_csv(tmp_path / "s.csv", index=False)
    reader = SeriesFile(time_column="time")
    for _ in range(2):
        series = reader.read(tmp_path / "s.csv", tmp_path / "cache")
        assert np.array_equal(series.values[:, 1], table.b) and series.breaks.tolist() == [70]
    table = table.iloc[[*range(37), 38, 37, *range(39, 200)]]  # in two pieces
    table.iloc[[*range(36), 37, 36, *range(38, 200)]].to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(DataError, match="not in the order of time"):
        reader.read(tmp_path / "s.csv", tmp_path / "cache")


def test_columns_steps_and_values_that_do_not_train_are_counted(tmp_path):
    values = noisy_sine()
    values[[5, 50, 51]] = np.nan
    write(tmp_path / "s.csv", y=values, word="x")
    data = split_table(tmp_path / "s.csv", target="y")
    data.setup("fit")
    found = {entry.what: (entry.count, entry.total) for entry in data.dropped.entries}
    assert found == {"columns": (1, 4), "steps": (10, 200), "values to forecast": (3, 200)}
    assert len(data.notes) == 1 and "3 of 600 values are missing (3 in 'y')" in data.notes[0]


def test_split_without_a_known_value_is_rejected(tmp_path):
    values = noisy_sine()
    values[120:160] = np.nan
    write(tmp_path / "s.csv", y=values)
    options = {"target": "y", "input_steps": 10, "horizon_steps": 4}
    (problem,) = SeriesTableDataModule(str(tmp_path / "s.csv"), **options).check()
    assert "no step of val has a value in 'y'" in problem


def german(table, path, encoding):
    text = table.to_csv(index=False, sep=";", decimal=",", float_format="%.6f")
    path.write_bytes(f"sep=;\r\n{text}".encode(encoding))


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_spreadsheet_exports_are_read(tmp_path, monkeypatch, encoding, large):
    if large:
        monkeypatch.setattr(series_file, "LARGE_FILE_BYTES", 1000)
        monkeypatch.setattr(series_file, "ROWS_A_PIECE", 37)
    table = write(tmp_path / "s.csv")
    table["time"] = pd.date_range("2020-01-01", periods=200, freq="h").strftime("%d.%m.%Y %H:%M")
    german(table, tmp_path / "german.csv", encoding)
    series = SeriesFile(time_column="time").read(tmp_path / "german.csv", tmp_path / "cache")
    assert series.names == ["a", "b"] and series.notes == []
    assert np.asarray(series.values) == pytest.approx(table[["a", "b"]].to_numpy(), abs=1e-6)


def test_numbers_of_thousands_are_read_as_the_config_says(tmp_path):
    (tmp_path / "s.csv").write_text("y\n" + "\n".join(f"1.{number:03d}" for number in range(200)))
    for decimal, thousands, first in ((".", None, 1.007), (",", ".", 1007.0)):
        data = SeriesTableDataModule(
            str(tmp_path / "s.csv"),
            target="y",
            decimal=decimal,
            thousands=thousands,
            input_steps=8,
            horizon_steps=2,
        )
        assert data.read().values[7].tolist() == [first]
        data.setup("fit")
        assert data.read_inputs([str(tmp_path / "s.csv")])[0][1][-1] == pytest.approx(
            {1.007: 1.199, 1007.0: 1199.0}[first]
        )
