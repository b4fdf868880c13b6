import os
import subprocess
import sys
import time

import pytest

from runner.errors import UserError
from runner.run.directory import RunDir
from runner.run.status import (
    LOST_AFTER_S,
    keep_status_fresh,
    process_started_at,
    read_status,
    reject_running,
    write_status,
)
from tests.processes import wait_for


def test_lifecycle_of_a_run(tmp_path):
    run = RunDir.create(tmp_path, "r")
    assert write_status(run, state="created").attempt == 0
    running = write_status(run, state="running")
    assert (running.attempt, running.pid) == (1, os.getpid())
    assert read_status(run).state == "running"
    finished = write_status(run, state="finished", step=7)
    assert finished.ended_at >= finished.started_at
    assert read_status(run).step == 7
    assert write_status(run, state="running").attempt == 2
    assert read_status(run).ended_at is None


def test_run_whose_process_is_gone_is_lost(tmp_path):
    run = RunDir.create(tmp_path, "r")
    code = (
        "import sys, os, signal\nfrom runner.run.directory import RunDir\n"
        "from runner.run.status import write_status\n"
        "write_status(RunDir(sys.argv[1]), state='running')\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(run.path)], check=False)
    status = read_status(run)
    assert status.state == "lost"
    assert "killed" in status.reason and status.step == 0
    run.checkpoints.mkdir(exist_ok=True)
    (run.checkpoints / "index.json").write_text('[{"step": 12}, {"step": 15}]')
    assert read_status(run).step == 15


def test_later_process_with_the_same_pid_is_not_the_run(tmp_path):
    run = RunDir.create(tmp_path, "r")
    write_status(run, state="running")
    write_status(run, pid_started_at=(process_started_at(os.getpid()) or 0) - 1)
    assert read_status(run).state == "lost"


def test_state_of_a_run_on_another_host_is_trusted(tmp_path):
    run = RunDir.create(tmp_path, "r")
    write_status(run, state="running", attempt=1, pid=1, host="elsewhere")
    assert read_status(run).state == "running"
    with pytest.raises(UserError, match="process 1 on elsewhere.*without an update for 5 minutes"):
        reject_running(run)


def test_run_without_updates_for_minutes_is_lost(tmp_path):
    run = RunDir.create(tmp_path, "r")
    write_status(run, state="running", attempt=1, pid=1, host="elsewhere")
    os.utime(run.status_path, (0, time.time() - LOST_AFTER_S - 1))
    assert (read_status(run).state, read_status(run).reason) == (
        "lost",
        "elsewhere has not updated its status for 5 minutes",
    )
    reject_running(run)
    with keep_status_fresh(run, interval_s=0.01):
        wait_for(lambda: read_status(run).state == "running", timeout_s=10, interval_s=0.01)
    os.utime(run.status_path, (0, 0))
    time.sleep(0.05)
    assert run.status_path.stat().st_mtime == 0  # after the block the file is not updated


def test_the_progress_of_a_running_run_is_recorded(tmp_path):
    run = RunDir.create(tmp_path, "r")
    write_status(run, state="running")
    reached = {}
    with keep_status_fresh(run, progress=lambda: dict(reached), progress_interval_s=0.01):
        time.sleep(0.05)
        assert read_status(run).step == 0
        reached.update(step=12, epoch=3)
        wait_for(lambda: read_status(run).step == 12, timeout_s=10, interval_s=0.01)
        assert (read_status(run).epoch, read_status(run).attempt) == (3, 1)
        written_at = run.status_path.stat().st_mtime_ns
        time.sleep(0.05)
        assert run.status_path.stat().st_mtime_ns == written_at  # nothing has changed
