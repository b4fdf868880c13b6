"""Means, deviations and folds in tables, and their page."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.plots.folds import curves_by_fold, scores_by_fold
from runner.report.folds import fold_figures, folds_table, predictions_figure, spread
from runner.report.format import with_std
from runner.report.page import write_report
from runner.run.directory import RunDir
from runner.run.files import write_json, write_text
from runner.run.folds import aggregate_folds, fold_of


def result(accuracy: float) -> dict:
    metrics = {"accuracy": accuracy, "loss": 1 - accuracy}
    of = {split: {f"{split}/{key}": value for key, value in metrics.items()} for split in ("val", "test")}
    best = {"monitor": "val/accuracy", "value": accuracy, "step": 8, "epoch": 1}
    return {
        "best": best,
        **of,
        "step": 10,
        "epoch": 2,
        "seconds": 1.5,
        "num_parameters": 7,
        "num_trainable": 7,
    }


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Three folds, two of them finished; no test of what trains."""
    run = RunDir(tmp_path / "cv")
    for number, accuracy in enumerate((0.5, 0.75)):
        fold = fold_of(run, number)
        fold.path.mkdir(parents=True)
        write_text(fold.config_path, "seed: 0\n")
        write_json(fold.results_path, result(accuracy))
        line = '{"step":%d,"epoch":%d,"time":1.0,"metrics":{"val/accuracy":%s,"val/loss":0.5}}\n'
        write_text(fold.metrics_path, "".join(line % (step, step - 1, 0.1 * step) for step in (1, 2)))
    write_text(run.config_path, "folds: {num_folds: 3}\n")
    write_json(run.status_path, {"state": "interrupted"})
    plan = {"kind": "KFold", "sizes": [5, 5, 4], "num_groups": 6, "num_test": 3, "name": "toy", "digest": "d"}
    write_json(run.path / "folds.json", plan | {"notes": ["one class <rare> is rare"]})
    return run


def test_fold_results_are_aggregated() -> None:
    found = aggregate_folds({0: result(0.5), 1: result(0.75)})
    assert found["val"]["val/accuracy"] == 0.625
    assert found["std"]["test"]["test/accuracy"] == pytest.approx(0.25 / 2**0.5)
    assert found["best"] == {"monitor": "val/accuracy", "value": 0.625}
    assert (found["step"], found["epoch"], found["seconds"]) == (20, 2, 3.0)


def test_metric_missing_in_some_folds_is_averaged_over_the_others() -> None:
    first = result(0.5)
    first["val"]["val/iou_class/rare"] = 0.25
    found = aggregate_folds({0: first, 1: result(0.75)})
    assert found["val"]["val/iou_class/rare"] == 0.25
    assert "val/iou_class/rare" not in found["std"]["val"], "one value has no deviation"
    assert "val/accuracy" in found["std"]["val"]


def test_single_fold_has_no_standard_deviation() -> None:
    found = aggregate_folds({0: result(0.5)})
    assert found["std"] == {"val": {}, "test": {}}
    assert any(
        line.split() == ["accuracy", "0.5000", "0.5000"] for line in str(folds_table(found)).splitlines()
    )


def test_values_are_formatted() -> None:
    assert with_std(0.97123, 0.00431) == "0.9712 ± 0.0043"
    assert with_std(71.427, 2.8052) == "71.43 ± 2.81"
    assert with_std(12345.6, 21.2) == "12,346 ± 21"
    assert with_std(0.5, None) == "0.5000"
    assert spread([287, 288]) == "287 to 288" and spread([5, 5]) == "5"


def test_table_has_a_row_for_each_fold_and_each_metric() -> None:
    lines = str(folds_table(aggregate_folds({0: result(0.5), 1: result(0.75)}))).splitlines()
    assert lines[1].split() == ["0", "0.5000", "0.5000", "2", "1.5", "s"]
    assert any(line.split("  ")[0] == "accuracy" and "0.6250 ± 0.1768" in line for line in lines)
    assert "2 folds" in lines[-1]


def test_page_of_unfinished_folds(run: RunDir) -> None:
    page = write_report(run).read_text()
    assert "0.6250 ± 0.1768" in page and "2 folds" in page and "runner resume cv" in page
    assert "&lt;rare&gt;" in page and "KFold" in page
    assert page.count("data:image/png") == 2


def test_plots_of_available_results(run: RunDir) -> None:
    results = aggregate_folds({0: result(0.5), 1: result(0.75)})
    assert [name for name, _ in fold_figures(run, results)] == ["scores_by_fold", "curves_by_fold"]
    figure = scores_by_fold({"accuracy": {"val": [0.5, float("nan")], "test": [0.4, 0.6]}})
    assert [ax.get_title(loc="left") for ax in figure.axes if ax.get_visible()] == ["accuracy"]
    assert len(curves_by_fold({"val/loss": {0: [(1, 0, 0.5)], 2: [(1, 0, 0.4)]}}).axes[0].lines) == 2


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("index,name,fold,target,prediction,probs.a,probs.b\n0,x,0,a,b,0.2,0.8\n1,y,1,a,a,0.9,0.1\n", True),
        ("index,name,fold,target,prediction\n0,x,0,1.5,1.25\n1,y,1,2.5,2.0\n", True),
        ("index,name,fold,target.u,target.v,prediction.u,prediction.v\n0,x,0,1,2,1,2\n1,y,0,2,3,1,2\n", True),
        ("index,name,fold,target,prediction\n0,x,0,NOUN VERB,NOUN NOUN\n", False),
        ("index,name,fold,mean_iou\n0,x,0,0.5\n", False),
    ],
)
def test_predictions_are_plotted_where_possible(tmp_path: Path, text: str, drawn: bool) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(text)
    assert (predictions_figure(path) is not None) == drawn
