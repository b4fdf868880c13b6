from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.run.directory import RunDir
from runner.run.state import RunState
from runner.tracking.dashboard_view import TAG, set_view, view_of
from runner.tracking.metric_tail import NewMetrics
from runner.tracking.store import KIND
from runner.tracking.uploader import metrics_of

CONFIG = """
model: {_target_: M}
optimizer: {lr: LR, weight_decay: 0.1}
run: {name: NAME}
seed: 0
"""


@pytest.fixture
def runs(tmp_path: Path) -> list[RunState]:
    states = []
    for name, rate in (("a", "0.1"), ("b", "0.01")):
        run = RunDir.create(tmp_path, name)
        run.config_path.write_text(CONFIG.replace("LR", rate).replace("NAME", name))
        results = {
            "best": {"monitor": "val/accuracy", "mode": "max", "step": 3},
            "val": {"val/loss": 0.5, "val/accuracy": 0.9, "val/f1_class/cat": 0.8},
            "test": {"test/accuracy": 0.8},
        }
        (run.path / "results.json").write_text(json.dumps(results))
        states.append(RunState(run))
    return states


def test_view_is_sorted_by_the_monitored_metric_with_columns(runs: list[RunState]) -> None:
    view = view_of(runs)
    assert view is not None
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`val/accuracy`", False)
    columns = view["selectedColumns"]
    assert {"metrics.`val/accuracy`", "metrics.`test/accuracy`", "params.`optimizer.lr`"} <= set(columns)
    assert "params.`run.name`" not in columns and "params.`optimizer.weight_decay`" not in columns


def test_train_and_val_share_a_chart_and_single_values_are_bars(runs: list[RunState]) -> None:
    view = view_of(runs)
    assert view is not None
    charts = {chart["metricKey"]: chart for chart in view["compareRunCharts"]}
    assert charts["val/accuracy"]["selectedMetricKeys"] == ["train/accuracy", "val/accuracy"]
    assert charts["train/accuracy"]["deleted"] and not charts["val/accuracy"]["deleted"]
    assert charts["test/accuracy"]["type"] == "BAR" and "val/f1_class/cat" not in charts
    points = metrics_of(NewMetrics(7, 1.0, {"test/accuracy": 0.8, "val/accuracy": 0.9}))
    assert [(point.key, point.step) for point in points] == [("test/accuracy", 0), ("val/accuracy", 7)]


def test_runs_without_results_have_no_view(tmp_path: Path) -> None:
    assert view_of([RunState(RunDir.create(tmp_path, "r"))]) is None


def test_low_values_come_first_for_a_loss(runs: list[RunState]) -> None:
    runs[-1].results["best"] = {"monitor": "val/perplexity"}
    view = view_of(runs)
    assert view is not None and view["orderByAsc"]


def test_view_and_mode_are_stored_in_the_experiment(runs: list[RunState]) -> None:
    tags: dict[str, str] = {}
    client = SimpleNamespace(
        get_experiment=lambda _: SimpleNamespace(tags=tags),
        set_experiment_tag=lambda _, key, value: tags.update({key: value}),
    )
    assert set_view(client, "1", runs)
    assert tags[KIND] == "custom_model_development"
    packed = tags[TAG].removeprefix("deflate;")
    assert json.loads(zlib.decompress(base64.b64decode(packed))) == view_of(runs)
