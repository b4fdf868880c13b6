"""The lock of a run, with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from runner.errors import RunInUseError
from runner.launch import local
from runner.launch.resume import prepare_resume
from runner.run.directory import RunDir
from runner.run.lock import acquire_lock, locked, release_lock
from runner.run.status import write_status

RACE = """
import os, sys, time
from runner.run.directory import RunDir
from runner.run.lock import locked
from runner.errors import RunInUseError

folder, pairs = sys.argv[1], int(sys.argv[2])
for number in range(pairs):
    run = RunDir(f"{folder}/{number}")
    mark = f"{folder}/{number}/{os.getpid()}.waits"
    open(mark, "w").close()
    while len([name for name in os.listdir(run.path) if name.endswith(".waits")]) < 2:
        pass
    try:
        with locked(run):
            open(f"{folder}/{number}/{os.getpid()}.started", "w").close()
            while not any(name.endswith(".rejected") for name in os.listdir(run.path)):
                if len([name for name in os.listdir(run.path) if name.endswith(".started")]) > 1:
                    break
    except RunInUseError:
        open(f"{folder}/{number}/{os.getpid()}.rejected", "w").close()
"""

HOLD = """
import sys
from runner.run.directory import RunDir
from runner.run.lock import acquire_lock

acquire_lock(RunDir(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}


def hold(run: RunDir) -> subprocess.Popen[str]:
    """Start a process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_of_two_processes_one_acquires_the_lock(tmp_path: Path) -> None:
    num_pairs = 200
    for number in range(num_pairs):
        (tmp_path / str(number)).mkdir()
    command = [sys.executable, "-c", RACE, str(tmp_path), str(num_pairs)]
    processes = [subprocess.Popen(command, env=environment()) for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    started = [len(list((tmp_path / str(number)).glob("*.started"))) for number in range(num_pairs)]
    assert started == [1] * num_pairs


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    process = hold(run)
    with pytest.raises(RunInUseError, match="is running"):
        acquire_lock(run)
    process.kill()
    process.wait()
    assert acquire_lock(run)
    release_lock(run)


def test_lock_is_reentrant_and_not_held_by_a_forked_process(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    with locked(run):
        assert not acquire_lock(run)
        child = os.fork()
        if child == 0:
            try:
                acquire_lock(run)
            except RunInUseError:
                os._exit(3)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    hold(run).kill()  # the lock is free


def test_resume_of_a_locked_run_changes_nothing(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    OmegaConf.save(OmegaConf.create({"trainer": {"max_epochs": 2}}), run.config_path)
    write_status(run, state="interrupted")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    process = hold(run)
    with pytest.raises(RunInUseError):
        prepare_resume(run, None)
    process.kill()
    process.wait()
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != ".lock"}
    assert after == before


def test_new_run_that_another_process_holds_is_not_removed(tmp_path: Path, monkeypatch) -> None:
    run = RunDir(tmp_path / "r")
    run.path.mkdir()
    write_status(run, state="created")

    def start(_: RunDir) -> None:
        acquire_lock(run)

    monkeypatch.setattr(local, "start", start)
    process = hold(run)
    with pytest.raises(RunInUseError):
        local.launch(run)
    process.kill()
    assert run.status_path.is_file()
