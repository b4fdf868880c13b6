"""What is left of a sweep whose processes are killed."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
import torch  # noqa: F401 - imported once, before sweeps are forked from here

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
    until = time.monotonic() + 20
    while bench.processes() and time.monotonic() < until:
        time.sleep(0.1)
    return bench.processes() == []


def check_whole(bench, total: int) -> None:
    """Every trial once, complete, with each epoch in its journal once."""
    trials = load_study(bench.sweep, None).get_trials()
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
def test_killed_trials_go_on(bench) -> None:
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


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_killed_sweep_goes_on_to_the_same_total(bench) -> None:
    """The sweep itself is killed when its journal has reached a random length, and whatever it does then."""
    total, draw = 12, random.Random(2)
    words = (*WORDS, f"sweep.num_trials={total}")
    kills, length = 0, 0
    while True:
        pid, until, code = bench.start(*words), length + draw.randrange(4, 40), None
        while (code := ended(pid)) is None and length < until:
            path = bench.sweep.study_path
            length = path.read_bytes().count(b"\n") if path.is_file() else 0
            time.sleep(0.002)
        if code is not None:
            assert code == 0, bench.said()
            break
        time.sleep(draw.random() * 0.3)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        kills += 1
        assert none_left(bench)
    assert kills >= 4
    check_whole(bench, total)
    print(f"{kills} kills")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_process_that_forks_is_killed(bench) -> None:
    pid, code, killed = bench.start(*WORDS, "sweep.num_trials=6"), None, False
    while code is None:
        code = ended(pid)
        status = read_status(bench.sweep.trial(2))
        if not killed and status.state == "running":
            parent = int(open(f"/proc/{status.pid}/stat").read().rpartition(")")[2].split()[1])
            os.kill(parent, signal.SIGKILL)
            killed = True
        time.sleep(0.01)
    assert code == 0, bench.said()
    assert killed
    check_whole(bench, 6)
    assert none_left(bench)
