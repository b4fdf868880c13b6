from __future__ import annotations

import base64
import hashlib
import json

import pytest

from runner.report.curves import MAX_POINTS, curves_content, script, script_digest
from runner.report.page import write_report
from runner.run.directory import RunDir
from runner.run.journal import Journal
from runner.run.state import RunState


@pytest.fixture
def run(tmp_path) -> RunDir:
    run = RunDir.create(tmp_path, "r")
    journal = Journal(run.metrics_path)
    for step in range(1, 1001):
        journal.log(step, step // 100, {"train/loss": 1000.0 / step, "train/lr": 0.1, "train/lr_1": 0.01})
    for epoch in range(10):
        values = {"val/loss": float("nan") if epoch == 3 else 2.0, "baseline/val/accuracy": 0.5}
        journal.log(100 * (epoch + 1), epoch, values)
    journal.log(1000, 9, {"test/</script>": 0.5})
    journal.close()
    return run


def test_panels_join_the_splits_of_a_metric(run: RunDir) -> None:
    (run.path / "results.json").write_text(json.dumps({"parameter_groups": {"train/lr_1": "conv (× 0.1)"}}))
    content = curves_content(RunState(run))
    loss, rates = content["panels"]
    assert [line["name"] for line in loss["lines"]] == ["train", "val"] and loss["log"]
    assert [line["name"] for line in rates["lines"]] == ["group 0", "conv (× 0.1)"] and not rates["log"]
    assert rates["lines"][0]["steps"]  # a constant rate is no slope
    train, val = loss["lines"]
    assert len(train["points"]) <= MAX_POINTS + 1 and train["points"][-1] == [1000, 1.0]
    assert val["points"][3] == [400, None]


def test_data_cannot_end_the_script(run: RunDir) -> None:
    journal = Journal(run.metrics_path)
    for step in (1001, 1002):
        journal.log(step, 10, {"train/</script><b>": 0.5})
    journal.close()
    content = curves_content(RunState(run))
    assert "<" not in content["json"]
    assert json.loads(content["json"])["panels"][1]["name"] == "</script><b>"


def test_policy_allows_the_script_of_the_page_only(run: RunDir) -> None:
    html = write_report(run).read_text()
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    assert script_digest() == f"sha256-{digest}" and f"script-src 'sha256-{digest}'" in html.replace(
        "&#43;", "+"
    )
    assert f"<script>{script()}</script>" in html


def test_without_a_journal_there_are_no_panels(tmp_path) -> None:
    assert curves_content(RunState(RunDir.create(tmp_path, "empty")))["panels"] == []
