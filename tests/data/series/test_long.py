"""Files of several series: one row for each series and step."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from runner.data.folds import Folds
from runner.data.series.table import SeriesTableDataModule
from runner.errors import DataError
from runner.models.dlinear import DLinear
from runner.tasks.forecasting import ForecastingTask

STEPS = np.arange(100)
SERIES = {"1": np.sin(STEPS / 3), "2": 1e9 + 50 * np.cos(STEPS / 4), "3": 0.01 * STEPS**1.5}
OPTIONS = {"time_column": "ds", "target": "y", "input_steps": 12, "horizon_steps": 4, "batch_size": 16}


def long_table(**changes):
    hours = pd.date_range("2022-10-01", periods=100, freq="h").astype(str)
    series = SERIES | changes
    return pd.concat(
        [pd.DataFrame({"unique_id": name, "ds": hours[: len(y)], "y": y}) for name, y in series.items()]
    )


def module(path, table, **options):
    table.to_csv(path / "long.csv", index=False)
    return SeriesTableDataModule(str(path / "long.csv"), **OPTIONS | {"id_column": "unique_id"} | options)


@pytest.mark.parametrize("order", [["unique_id", "ds"], ["ds", "unique_id"], ["ds"]])
def test_several_series_without_an_id_column_are_rejected(tmp_path, order):
    (problem,) = module(tmp_path, long_table().sort_values(order), id_column=None).check()
    assert "several series in one file: set data.id_column=unique_id" in problem and "Sort" not in problem


@pytest.mark.parametrize("order", [["unique_id", "ds"], ["ds", "unique_id"]])
def test_each_series_has_its_own_cut_scale_and_windows(tmp_path, order):
    data = module(tmp_path, long_table().sort_values(order))
    assert data.check() == []
    data.setup("fit")
    assert data.names == ["y"], "the id is no feature"
    train = {name: values[:60] for name, values in SERIES.items()}
    assert np.ravel(data.mean) == pytest.approx([values.mean() for values in train.values()], rel=1e-12)
    assert np.ravel(data.std) == pytest.approx([values.std() for values in train.values()], rel=1e-6)
    for split, begin, end in (("train", 12, 60), ("val", 60, 80), ("test", 80, 100)):
        part = data.splits[split]
        assert len(part) == 3 * (end - begin - 3)
        batch = data.on_after_batch_transfer(part.__getitems__([(0, place) for place in range(len(part))]), 0)
        row = 0
        for number, (name, values) in enumerate(SERIES.items()):
            scaled = (values - train[name].mean()) / train[name].std()
            for start in range(begin, end - 3):
                wanted = np.r_[scaled[start - 12 : start], scaled[start : start + 4]]
                got = torch.cat([batch["inputs"][row], batch["standardized"][row]]).flatten().numpy()
                assert got == pytest.approx(wanted, abs=1e-5) and batch["series"][row] == number
                row += 1
        assert part.name(0) == f"1, {pd.Timestamp('2022-10-01') + pd.Timedelta(hours=begin)}"


def test_metrics_of_each_series_are_in_its_own_unit(tmp_path):
    data = module(tmp_path, long_table())
    data.setup("fit")
    extra = data.facts.extra
    names = ("horizon_steps", "target_columns", "target_names", "target_mean", "target_std", "series_names")
    task = ForecastingTask(DLinear(12, 4, [0]), **{name: extra[name] for name in names})
    for batch in data.val_dataloader():
        task.update_metrics(task.compute_loss(data.on_after_batch_transfer(batch, 0)).outputs, "val")
    found = task.compute_metrics("val")
    errors = {}
    for number, (name, values) in enumerate(SERIES.items()):
        mean, std = values[:60].mean(), values[:60].std()
        windows = np.stack([values[start - 12 : start] for start in range(60, 77)])
        truth = np.stack([values[start : start + 4] for start in range(60, 77)])
        inputs = torch.from_numpy(((windows - mean) / std).astype(np.float32))[..., None]
        preds = task.forecast(inputs)[..., 0].detach().double().numpy() * std + mean
        errors[name] = (preds - truth) / std
        assert found[f"mae_series/{name}"] == pytest.approx(np.abs(preds - truth).mean(), rel=1e-4), number
        assert found[f"mse_series/{name}"] == pytest.approx((errors[name] ** 2).mean(), rel=1e-4)
    assert found["mse"] == pytest.approx(np.mean([error**2 for error in errors.values()]), rel=1e-4)


def test_short_and_empty_series_are_counted(tmp_path):
    data = module(tmp_path, long_table(short=np.ones(15), empty=np.full(100, np.nan)))
    data.setup("fit")
    assert data.series == ["1", "2", "3"]
    entries = {
        entry.examples: (entry.count, entry.total) for entry in data.dropped.entries if entry.what == "series"
    }
    assert entries == {("short",): (1, 5), ("empty",): (1, 5)}
    with pytest.raises(DataError, match="none of the 3 series .* can be used"):
        module(tmp_path, long_table(), input_steps=70).setup("fit")


def test_known_and_new_series_are_forecast_in_their_own_units(tmp_path):
    data = module(tmp_path, long_table())
    data.setup("fit")
    fresh = SeriesTableDataModule(str(tmp_path / "long.csv"), **OPTIONS, id_column="unique_id")
    fresh.load_state_dict(data.state_dict())
    new = 500 + 7 * np.sin(STEPS[:40])
    table = long_table(new=new)
    table[table.unique_id.isin(["2", "new"])].to_csv(tmp_path / "new.csv", index=False)
    (known, window), (unseen, other) = fresh.read_inputs([str(tmp_path / "new.csv")])
    assert known.endswith("new.csv: 2") and unseen.endswith("new.csv: new")
    inputs = fresh.batch_inputs([window, other])
    train = SERIES["2"][:60]
    assert inputs[0, :, 0].numpy() == pytest.approx(
        (SERIES["2"][-12:] - train.mean()) / train.std(), abs=1e-5
    )
    assert inputs[1, :, 0].numpy() == pytest.approx((new[-12:] - new.mean()) / new.std(), abs=1e-5)
    preds = fresh.in_units({"preds": torch.zeros(2, 4, 1)}, [window, other])["preds"]
    assert preds[:, 0, 0].tolist() == pytest.approx([train.mean(), new.mean()], rel=1e-12)


def test_ids_spelled_as_other_numbers_are_the_same_series(tmp_path):
    data = module(tmp_path, long_table())
    data.setup("fit")
    table = long_table().assign(unique_id=lambda rows: rows.unique_id.astype(float))
    table[table.unique_id == 2].to_csv(tmp_path / "new.csv", index=False)
    ((_, window),) = data.read_inputs([str(tmp_path / "new.csv")])
    assert window.scale[0] == pytest.approx([SERIES["2"][:60].mean()], rel=1e-12)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"id_column": "uniqe_id"}, "Did you mean 'unique_id'"),
        ({"id_column": "y"}, "is also in data.target"),
        ({"id_column": "ds"}, "is also in data.time_column"),
    ],
)
def test_wrong_id_columns_are_rejected(tmp_path, options, problem):
    assert problem in module(tmp_path, long_table(), **options).check()[0]


def test_folds_of_several_series_are_rejected(tmp_path):
    data = module(tmp_path, long_table())
    data.take_folds(Folds(num_folds=3))
    assert "folds do not work with data.id_column" in data.check()[0]


def test_series_out_of_order_and_repeated_times_are_named(tmp_path):
    table = long_table()
    rows = np.arange(300)
    rows[[120, 150]] = [150, 120]
    assert "series '2', is not in the order of time" in module(tmp_path, table.iloc[rows]).check()[0]
    problem = module(tmp_path, pd.concat([table, table.iloc[[250]]])).check()[0]
    assert "series '3', has times that occur more than once" in problem and "data.id_column=" not in problem


def test_ids_that_look_like_missing_values_are_ids(tmp_path):
    table = long_table(NA=np.cos(STEPS / 5), null=np.sin(STEPS / 6))
    data = module(tmp_path, pd.concat([table, table.iloc[[7]].assign(unique_id="")]))
    data.setup("fit")
    assert data.series == ["1", "2", "3", "NA", "null"]
    (entry,) = data.dropped.entries
    assert (entry.what, entry.count, entry.total, entry.examples) == ("rows", 1, 501, ("row 501",))


def test_cell_that_is_no_number_is_named_by_its_row_in_the_file(tmp_path):
    table = long_table().sort_values(["ds", "unique_id"]).astype({"y": object})
    table.iloc[100, 2] = "broken"
    assert "row 101: column 'y' holds 'broken'" in module(tmp_path, table, features=["y"]).check()[0]


def test_target_with_a_cell_that_is_no_number_is_named(tmp_path):
    table = pd.DataFrame({"ds": range(100), "x": STEPS, "y": SERIES["1"].astype(str)})
    table.loc[9, "y"] = "inf"
    (problem,) = module(tmp_path, table, id_column=None).check()
    assert problem.endswith("row 10: column 'y' holds 'inf', expected a number.")


def test_two_columns_that_together_identify_the_series_are_named(tmp_path):
    series = [
        long_table().query("unique_id == '1'").assign(unique_id=store, item=item)
        for store in "ab"
        for item in "cd"
    ]
    table = pd.concat(series).rename(columns={"unique_id": "store"})
    (problem,) = module(tmp_path, table, id_column=None).check()
    assert "The columns 'item' and 'store' together distinguish them" in problem
