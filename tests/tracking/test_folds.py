"""Cross-validation in MLflow: one parent and one child per fold."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli import main
from runner.run.directory import RunDir
from runner.run.files import read_json, write_json
from runner.run.folds import folds_of
from runner.run.status import write_status
from runner.tracking.child_runs import PARENT, FoldsMirror
from runner.tracking.store import default_uri, open_store
from tests.overrides import QUIET

QUICK = [
    "model=logistic",
    "data=digits",
    *QUIET,
    "hardware=cpu",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=2",
    "folds=2",
    "run.name=cv",
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *QUICK]) == 0
    return RunDir(tmp_path / "runs" / "cv")


def runs_by_name(root: Path) -> dict:
    client = open_store(default_uri(root))
    found = client.search_runs([client.get_experiment_by_name("runner").experiment_id])
    assert len({run.info.run_name for run in found}) == len(found), "a run was made twice"
    return {run.info.run_name: run for run in found}


def test_one_parent_and_a_child_for_each_fold(run: RunDir) -> None:
    status = read_json(run.status_path)
    write_status(run, state="running")  # while it runs, its end is not reported
    report = FoldsMirror(run).sync(final=False)
    assert report.error is None and not report.complete
    write_json(run.status_path, status)
    report = FoldsMirror(run).sync()
    assert report.error is None and report.complete
    found = runs_by_name(run.path.parent)
    assert sorted(found) == ["cv", "cv/0", "cv/1"]
    parent, results = found["cv"], read_json(run.results_path)
    assert PARENT not in parent.data.tags and parent.data.tags["runner.kind"] == "folds"
    assert parent.data.metrics["val/accuracy"] == results["val"]["val/accuracy"]
    assert parent.data.metrics["val/accuracy_std"] == results["std"]["val"]["val/accuracy"]
    for fold in folds_of(run):
        child = found[fold.name]
        assert child.data.tags[PARENT] == parent.info.run_id
        assert child.data.tags["runner.fold"] == fold.path.name
        assert child.info.status == "FINISHED"
        assert child.data.metrics["val/accuracy"] == read_json(fold.results_path)["val"]["val/accuracy"]
    client = open_store(default_uri(run.path.parent))
    files = {entry.path for entry in client.list_artifacts(parent.info.run_id)}
    assert "predictions.csv" in files and "folds" not in files
    assert FoldsMirror(run).sync().points == 0, "what is there was sent again"


def test_runner_sync_sends_the_folds_with_their_run(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "--all"]) == 0
    assert capsys.readouterr().out.count("FINISHED") == 1
    assert sorted(runs_by_name(run.path.parent)) == ["cv", "cv/0", "cv/1"]
