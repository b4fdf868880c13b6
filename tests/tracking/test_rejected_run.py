"""A run that is rejected once its data are known leaves nothing in MLflow."""

from __future__ import annotations

import sqlite3

import pytest

import runner.launch.folds
from runner import tracking
from runner.cli import main

WORDS = [
    "data=digits",
    "model=logistic",
    "tracking=mlflow",
    "plots=false",
    "baselines=false",
    "report=false",
    "hardware=cpu",
]


@pytest.mark.parametrize("more", [[], ["folds=2"]])
def test_rejected_run_leaves_no_failed_run_and_no_process(tmp_path, monkeypatch, capsys, more):
    started = []

    def noted(run, config):
        mirror = start(run, config)
        started.append(mirror.process)
        return mirror

    start = tracking.start
    monkeypatch.setattr(tracking, "start", noted)
    monkeypatch.setattr(runner.launch.folds, "start_mirror", noted)
    monkeypatch.chdir(tmp_path)
    store = tmp_path / "store.db"
    words = [*WORDS, f"tracking.uri=sqlite:///{store}", "trainer.val_check_interval=100000", *more]
    assert main(["train", *words]) == 2
    assert "val_check_interval" in capsys.readouterr().err
    assert not [path for path in (tmp_path / "runs").glob("*") if (path / "config.yaml").exists()]
    processes = [process for process in started if process is not None]
    assert processes and all(process.poll() is not None for process in processes)
    count = 0
    if store.exists():
        with sqlite3.connect(store) as connection:
            count = connection.execute("select count(*) from runs").fetchone()[0]
    assert count == 0
