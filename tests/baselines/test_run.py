"""Baselines of a run: results, console, page and journal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.cli import main
from runner.report.baselines import baseline_verdict, best_baseline

TRAIN = ["train", "data=diabetes", "tracking=none", "plots=false", "hardware=cpu", "trainer.max_epochs=1"]


def test_run_below_its_baseline_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN, "run.name=a"]) == 0
    printed = capsys.readouterr().out
    results = json.loads((tmp_path / "runs/a/results.json").read_text())
    by_name = {entry["name"]: entry for entry in results["baselines"]}
    ridge = by_name["ridge regression"]["metrics"]["val"]["rmse"]
    assert "baseline ridge regression (rmse)" in printed
    assert f"The model is below its baseline: val/rmse {results['val']['val/rmse']:.4g}" in printed
    assert f"ridge regression {ridge:.4g}" in printed
    page = (tmp_path / "runs/a/report.html").read_text()
    assert "baseline ridge regression (rmse)" in page and "The model is below its baseline" in page
    points = [json.loads(line) for line in (tmp_path / "runs/a/metrics.jsonl").read_text().splitlines()]
    logged = [point["metrics"] for point in points if "baseline/val/rmse" in point["metrics"]]
    assert [metrics["baseline/val/rmse"] for metrics in logged] == [pytest.approx(ridge)]


def test_baselines_can_be_disabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN, "run.name=b", "baselines=false", "report=false"]) == 0
    assert "baselines" not in json.loads((tmp_path / "runs/b/results.json").read_text())


@pytest.mark.parametrize(
    ("score", "lower_is_better", "is_below"),
    [(0.9, False, False), (0.8, False, True), (0.85, True, True), (0.7, True, False)],
)
def test_verdict(score: float, lower_is_better: bool, is_below: bool) -> None:
    entries = [
        {"name": "weak", "metrics": {"val": {"m": 0.1 if not lower_is_better else 2.0}}},
        {"name": "strong", "metrics": {"val": {"m": 0.84}}},
        {"name": "other", "metrics": {"val": {"n": 100.0}}},
    ]
    best = best_baseline(entries, "m", lower_is_better)
    assert best is not None and best["name"] == "strong"
    results = {"best": {"monitor": "val/m"}, "val": {"val/m": score}, "baselines": entries}
    verdict = baseline_verdict(results, lower_is_better)
    assert (verdict is not None) is is_below
    if verdict:
        assert "strong 0.84" in verdict


def test_metric_without_baseline_has_no_verdict() -> None:
    assert best_baseline([], "accuracy", False) is None
    assert baseline_verdict({"best": {"monitor": "val/map"}, "val": {"val/map": 0.2}}, False) is None


@pytest.mark.parametrize(
    ("score", "value", "num_val", "lower_is_better", "expected"),
    [
        (0.9805, 0.9833, 359, False, "level with its baseline"),  # one sample of 359
        (0.9500, 0.9833, 359, False, "below its baseline"),
        (0.9805, 0.9833, 100_000, False, "below its baseline"),
        (51.0, 50.0, 100, True, "level with its baseline"),
        (60.0, 50.0, 100, True, "below its baseline"),
        (0.9805, 0.9833, 0, False, "below its baseline"),
    ],
)
def test_difference_within_the_standard_error_is_level(
    score: float, value: float, num_val: int, lower_is_better: bool, expected: str
) -> None:
    entries = [{"name": "linear", "metrics": {"val": {"m": value}}, "num_val": num_val}]
    results = {"best": {"monitor": "val/m"}, "val": {"val/m": score}, "baselines": entries}
    assert expected in str(baseline_verdict(results, lower_is_better))
