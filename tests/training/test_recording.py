"""What is kept of an attempt besides what it trains."""

from __future__ import annotations

import os
import socket

import pytest

import runner.training.recording as recording
from runner.config.compose import compose
from runner.config.plain import to_yaml
from runner.errors import UserError
from runner.launch.rank_worker import main
from runner.run.directory import RunDir
from runner.run.files import write_text
from runner.run.status import process_started_at, read_status, write_status
from runner.training.worker import execute

QUICK = [
    "data=digits",
    "model=logistic",
    "tracking=none",
    "plots=false",
    "baselines=false",
    "hardware=cpu",
    "trainer.max_epochs=1",
]


def make_run(folder, *words) -> RunDir:
    run = RunDir.create(str(folder), "r")
    write_text(run.config_path, to_yaml(compose([*QUICK, *words]).config))
    return run


def test_failed_report_does_not_fail_the_run(tmp_path, monkeypatch, caplog):
    def broken(run):
        raise KeyError("kind")

    monkeypatch.setattr(recording, "write_report", broken)
    run = make_run(tmp_path)
    assert execute(run)["test"]["test/accuracy"] > 0.5
    assert read_status(run).state == "finished"
    assert "the report page was not written: KeyError: 'kind'" in caplog.text


def test_worker_exits_with_the_code_of_its_error(tmp_path, capsys):
    assert main([]) == 2
    assert main([str(make_run(tmp_path, "report=false").path)]) == 0
    run = make_run(tmp_path, "report=false", "optimizer=sgd", "optimizer.lr=1e38")
    assert main([str(run.path)]) == 1
    assert "error: step" in capsys.readouterr().err and read_status(run).state == "failed"


def test_run_of_another_live_process_is_rejected(tmp_path):
    """Both were asked to go on with it before either had begun to."""
    run, other = make_run(tmp_path, "report=false"), os.getppid()
    host, began = socket.gethostname(), process_started_at(other)
    write_status(run, state="running", attempt=1, pid=other, pid_started_at=began, host=host)
    with pytest.raises(UserError, match=f"is running \\(process {other} on "):
        execute(run)
    assert read_status(run).pid == other and not list(run.checkpoints.iterdir())
