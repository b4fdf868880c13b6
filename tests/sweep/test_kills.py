"""What is left of a sweep whose processes are killed."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

import runner.training.worker  # noqa: F401 - imported once, before sweeps are forked from here
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.journal import load_metrics
from runner.run.status import read_status
from runner.sweep.study import load_study

LR = "optimizer.lr=tag(log,interval(1e-3,1e-1))"
WORDS = (LR, "sweep.sampler=random", "sweep.num_workers=2", "trainer.max_epochs=4")


def ended(pid: int) -> int | None:
    """The exit code, or None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def none_left(bench) -> bool:
    """No orphan; they are given a moment."""
    until = time.monotonic() + 5
    while bench.processes() and time.monotonic() < until:
        time.sleep(0.1)
    return bench.processes() == []


def check_whole(bench, total: int) -> None:
    """Every trial once, complete, with each epoch in its journal once."""
    trials = load_study(bench.sweep).get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * total
    assert sorted(int(path.name) for path in bench.sweep.trials.iterdir()) == list(range(total))
    for trial in trials:
        run = RunDir(bench.sweep.trials / str(trial.number))
        assert read_status(run).state == "finished"
        epochs = [epoch for _, epoch, _ in load_metrics(run.metrics_path)["val/accuracy"]]
        assert epochs == sorted(set(epochs)), (trial.number, epochs)
        assert read_json(run.results_path)["best"]["value"] == trial.value


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_killed_trials_are_resumed(bench) -> None:
    """5 of 20 trials are killed at a random moment each."""
    total, draw = 20, random.Random(1)
    victims = set(draw.sample(range(total), 5))
    pid, code, killed = bench.start(*WORDS, f"sweep.num_trials={total}"), None, set()
    while code is None:
        code = ended(pid)
        for number in victims - killed:
            status = read_status(bench.sweep.trial(number))
            if status.state == "running":
                time.sleep(draw.random() * 0.5)
                if read_status(bench.sweep.trial(number)).state == "running":
                    os.kill(status.pid, signal.SIGKILL)
                    killed.add(number)
        time.sleep(0.01)
    assert code == 0, bench.said()
    assert len(killed) >= 4
    check_whole(bench, total)
    assert none_left(bench)
    print(f"{len(killed)} of {total} trials killed: {total} complete, 0 left running, 0 orphans")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_killed_sweep_continues_to_the_same_total(bench) -> None:
    """The sweep itself is killed ten times, each time when its journal has grown by a random length."""
    total, num_kills, draw = 20, 10, random.Random(2)
    words = (*WORDS, f"sweep.num_trials={total}")
    attempts, length = 0, 0
    for kill in range(num_kills + 1):
        pid, until = bench.start(*words), length + draw.randrange(4, 30)
        while (code := ended(pid)) is None and (kill == num_kills or length < until):
            path = bench.sweep.study_path
            length = path.read_bytes().count(b"\n") if path.is_file() else 0
            time.sleep(0.002)
        if kill == num_kills:
            assert code == 0, bench.said()
            break
        assert code is None, f"the sweep ended before kill {kill + 1}: {bench.said()}"
        time.sleep(draw.random() * 0.3)
        assert len(bench.processes()) >= 2  # the sweep and the process that forks, at least
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert none_left(bench)
    check_whole(bench, total)
    attempts = sum(len(t.user_attrs["attempts"]) for t in load_study(bench.sweep).get_trials())
    print(f"{num_kills} kills of the sweep: {total} trials, {attempts} attempts, 0 left running, 0 orphans")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_sweep_survives_a_killed_fork_server(bench) -> None:
    pid, code, killed = bench.start(*WORDS, "sweep.num_trials=6"), None, False
    while code is None:
        code = ended(pid)
        status = read_status(bench.sweep.trial(2))
        if not killed and status.state == "running":
            os.kill(parent_of(status.pid), signal.SIGKILL)
            killed = True
        time.sleep(0.01)
    assert code == 0, bench.said()
    assert killed
    check_whole(bench, 6)
    assert none_left(bench)


def parent_of(pid: int) -> int:
    return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_joined_and_killed_sweep_is_completed(bench) -> None:
    """Two processes at one study; the one that began it is killed, the other takes its trials over."""
    words = (*WORDS, "sweep.num_trials=8", "sweep.num_workers=1")
    first = bench.start(*words)
    while not read_json(bench.sweep.status_path, {}).get("trials", {}).get("running"):
        if read_status(bench.sweep.trial(0)).state == "running":
            break
        time.sleep(0.05)
    second = bench.start_with("--join", "s")
    while sum(t.state.name == "RUNNING" for t in load_study(bench.sweep).get_trials()) < 2:
        assert ended(second) is None, bench.said()
        time.sleep(0.05)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    while (code := ended(second)) is None:
        time.sleep(0.05)
    assert code == 0, bench.said()
    check_whole(bench, 8)
    owners = {t.user_attrs["owner"].split(":")[1] for t in load_study(bench.sweep).get_trials()}
    assert owners >= {str(second)}
    assert none_left(bench)
