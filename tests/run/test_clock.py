"""Durations do not depend on the wall clock, which may be set back while a run trains."""

from __future__ import annotations

import time

import pytest

from runner.report.summary import summarize
from runner.run.directory import RunDir
from runner.run.status import read_status, write_status
from tests.overrides import QUIET


@pytest.fixture
def clock_set_back(monkeypatch):
    """Each reading of the wall clock is an hour before the previous one."""
    readings = iter(range(1_700_000_000, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(readings)))


def test_status_of_a_run_has_a_positive_duration(tmp_path, clock_set_back):
    run = RunDir.create(tmp_path, "r")
    write_status(run, state="running")
    time.sleep(0.01)
    status = write_status(run, state="failed", reason="x")
    assert status.ended_at < status.started_at
    assert 0.01 <= read_status(run).seconds < 60
    assert 0.01 <= summarize(run).seconds < 60


def test_results_of_a_run_have_a_positive_duration(tmp_path, clock_set_back):
    from runner.config.compose import compose
    from runner.config.plain import to_yaml
    from runner.run.files import write_text
    from runner.training.worker import execute

    run = RunDir.create(tmp_path, "r")
    words = [
        "data=digits",
        "model=logistic",
        *QUIET,
        "hardware=cpu",
    ]
    words += ["trainer.max_epochs=1", "trainer.limit_train_batches=1"]
    write_text(run.config_path, to_yaml(compose(words).config))
    assert 0 < execute(run)["seconds"] < 600


def test_attempt_of_a_sweep_has_a_positive_duration(tmp_path, clock_set_back):
    from runner.sweep.executors.slots import Slot
    from runner.sweep.running_trial import RunningTrial
    from runner.sweep.trial import Outcome

    running = RunningTrial(None, RunDir(tmp_path), [], Slot(0, ()))
    running.begin_attempt("host:1/0")
    running.mark_started(None)
    time.sleep(0.01)
    running.end_attempt(Outcome("complete"))
    assert running.attempts[-1]["end"] < running.attempts[-1]["start"]
    assert 0.01 <= running.spent_s < 60


def test_longest_phase_does_not_use_the_wall_clock(monkeypatch):
    from runner.distributed.heartbeat import Heartbeat
    from runner.distributed.process_info import ProcessInfo

    readings = iter(range(1_700_000_000, 1_800_000_000, 3600))
    monkeypatch.setattr(time, "time", lambda: float(next(readings)))  # set forward an hour each time
    heartbeat = Heartbeat.of(ProcessInfo())
    for _ in range(3):
        heartbeat.beat("forward pass", begins_batch=True)
    assert heartbeat.longest_s < 60
