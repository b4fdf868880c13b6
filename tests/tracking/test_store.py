"""Several processes at a store that is not there yet."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from runner.errors import UserError
from runner.run.directory import RunDir, root_of
from runner.tracking.mirror_process import start
from runner.tracking.settings import read_config
from runner.tracking.store import (
    absolute_uri,
    artifact_root,
    default_uri,
    experiment_id,
    make_store,
    open_store,
)


def open_and_write(root: str, barrier, outcomes) -> None:
    barrier.wait()
    try:
        client = open_store(default_uri(root))
        run = client.create_run(experiment_id(client, "runner", Path(root) / "mlartifacts"))
        client.log_metric(run.info.run_id, "a", 1.0, step=3)
        outcomes.put(None)
    except BaseException as error:
        outcomes.put(repr(error))


def test_six_processes_create_one_store(tmp_path, empty_store):
    """MLflow alone: most of them crash in its migrations. (``empty_store`` imported all that is forked
    here.)"""
    fork = multiprocessing.get_context("fork")
    barrier, outcomes = fork.Barrier(6), fork.Queue()
    processes = [
        fork.Process(target=open_and_write, args=(str(tmp_path), barrier, outcomes)) for _ in range(6)
    ]
    for process in processes:
        process.start()
    assert [outcomes.get(timeout=120) for _ in processes] == [None] * 6
    for process in processes:
        process.join(timeout=30)
    client = open_store(default_uri(tmp_path))
    assert [each.name for each in client.search_experiments()] == ["runner", "Default"]
    assert len(client.search_runs([experiment_id(client, "runner", None)])) == 6


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_runs_start_at_once_on_a_fresh_store(make_run, root):
    """Each with its mirror as a separate process, as ``runner train`` starts it."""
    (root / "mlflow.db").unlink()
    runs = [make_run(f"run-{index}") for index in range(20)]
    handles = [start(run, read_config(run)) for run in runs]
    ended = [handle.finish(timeout_s=800) for handle in handles]
    assert ended == [True] * 20, [(run.logs / "tracking.log").read_text()[-500:] for run in runs]
    client = open_store(default_uri(root))
    found = client.search_runs([experiment_id(client, "runner", None)])
    assert sorted(run.info.run_name for run in found) == sorted(run.name for run in runs)
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {len(client.get_metric_history(run.info.run_id, "train/loss")) for run in found} == {10}


def test_killed_creation_leaves_no_partial_store(tmp_path):
    (tmp_path / ".mlflow.db.new").write_bytes(b"half a database")
    (tmp_path / "mlflow.db").touch()
    make_store(default_uri(tmp_path))
    assert open_store(default_uri(tmp_path)).get_experiment("0").name == "Default"
    assert not (tmp_path / ".mlflow.db.new").exists()


def test_store_of_another_version_is_reported_with_a_remedy(root):
    connection = sqlite3.connect(root / "mlflow.db")
    connection.execute("UPDATE alembic_version SET version_num = '0'")
    connection.commit()
    connection.close()
    with pytest.raises(UserError, match="mlflow db upgrade sqlite:///.*runner sync --all"):
        open_store(default_uri(root))


def test_paths_and_uris(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert root_of(RunDir("runs/one")) == tmp_path / "runs"
    assert root_of(RunDir("runs/study/trials/7")) == tmp_path / "runs"
    assert default_uri("runs") == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert absolute_uri("sqlite:///my.db") == f"sqlite:///{tmp_path}/my.db"
    assert absolute_uri("http://127.0.0.1:5000") == "http://127.0.0.1:5000"
    assert artifact_root("sqlite:////x/mlflow.db", "runs") == Path("/x/mlartifacts")
    assert artifact_root("http://127.0.0.1:5000", "runs") is None
    assert artifact_root("postgresql://host/d", "runs") == tmp_path / "runs" / "mlartifacts"
