"""What is counted, over several goes at one study."""

from __future__ import annotations

import multiprocessing
import socket
from pathlib import Path

import pytest

from runner.config.schema import Sweep
from runner.sweep.directory import SweepDir
from runner.sweep.space import Space, parse_parameter
from runner.sweep.storage import lock_of
from runner.sweep.study import open_study
from runner.sweep.trial import Outcome
from runner.sweep.trial_queue import TrialQueue

SPACE = Space((parse_parameter("lr", "tag(log,interval(1e-4,1e-1))", []), parse_parameter("n", "1,2,3", [])))
GONE = f"{socket.gethostname()}:4194304:1"
"""The owner of a trial whose process has ended: Linux gives no process this number."""


def queue_of(path: Path, objectives: dict[str, str] | None = None, **settings) -> TrialQueue:
    path.mkdir(exist_ok=True)
    settings = Sweep(**({"num_trials": 8, "seed": 3} | settings))
    sweep = SweepDir(path)
    study = open_study(sweep, settings.storage, objectives or {"val/accuracy": "max"})
    return TrialQueue(study, SPACE, settings, lock_of(sweep, settings.storage))


def complete(*values: float) -> Outcome:
    return Outcome("complete", values)


def measure(queue: TrialQueue, trial) -> None:
    queue.finish(trial, complete(-abs(queue.point(trial)["lr"] - 0.01)), {})


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "gp", "cmaes", "nsga2"])
def test_restarted_sweep_is_the_same_search(tmp_path: Path, sampler: str) -> None:
    calm = queue_of(tmp_path / "calm", sampler=sampler)
    while (trial := calm.claim()) is not None:
        measure(calm, trial)
    for _ in range(9):  # each with a new process's view of the study: one trial, then the end
        queue = queue_of(tmp_path / "broken", sampler=sampler)
        trial = queue.claim()
        if trial is not None:
            measure(queue, trial)
    broken = queue_of(tmp_path / "broken", sampler=sampler)
    assert broken.claim() is None
    assert [t.params for t in broken.trials()] == [t.params for t in calm.trials()]
    assert broken.counts() == {"complete": 8}


def test_quasi_random_points_are_more_even_than_random_ones(tmp_path: Path) -> None:
    """Sixteen points of a Sobol sequence: one in each sixteenth of the range."""
    queue = queue_of(tmp_path, sampler="qmc", num_trials=17, seed=1)
    while (trial := queue.claim()) is not None:
        measure(queue, trial)
    import math

    places = [(math.log10(t.params["lr"]) + 4) / 3 for t in queue.trials()[1:]]
    assert sorted(int(place * 8) for place in places) == sorted([*range(8)] * 2)


def test_trial_of_a_dead_process_is_resumed_with_its_values(tmp_path: Path) -> None:
    queue = queue_of(tmp_path)
    points = [queue.point(queue.claim()) for _ in range(3)]
    assert [trial.number for trial in queue.unfinished()] == [0, 1, 2]
    queue.liveness.owner = GONE
    for trial in queue.unfinished()[1:]:  # as if another process had begun these two, and was killed
        queue.study._storage.set_trial_user_attr(trial._trial_id, "owner", GONE)
    again = queue_of(tmp_path)
    taken = [again.claim(), again.claim()]
    assert [trial.number for trial in taken] == [1, 2]
    assert [again.point(trial) for trial in taken] == points[1:]
    assert again.claim().number == 3  # number 0 has an owner who lives
    again.finish(taken[0], Outcome("failed", reason="the loss is nan"), {})
    again.finish(taken[0], complete(1.0), {})  # too late: it has ended
    queue.finish(taken[1], complete(1.0), {})  # and this one is another's
    assert again.counts() == {"failed": 1, "running": 3}


def test_released_trial_can_be_claimed_immediately(tmp_path: Path) -> None:
    queue = queue_of(tmp_path)
    trial = queue.claim()
    queue.release(trial)
    assert not queue.is_own(trial)
    again = queue.claim()
    assert again.number == trial.number and queue.is_own(again)


def test_process_elsewhere_is_dead_when_its_counter_stalls(tmp_path: Path, monkeypatch) -> None:
    from runner.sweep import liveness

    clock = [0.0]
    monkeypatch.setattr(liveness.time, "monotonic", lambda: clock[0])
    queue = queue_of(tmp_path)
    queue.study.set_user_attr("presence:elsewhere:7:7", 1)
    for count in (1, 2, 3):
        queue.study.set_user_attr("presence:elsewhere:7:7", count)
        assert not queue.liveness.is_dead("elsewhere:7:7")
        clock[0] += liveness.DEAD_AFTER_S
    assert not queue.liveness.is_dead("elsewhere:7:7")
    clock[0] += 1
    assert queue.liveness.is_dead("elsewhere:7:7")


def work(path: Path, storage: str | None) -> None:
    queue = queue_of(path, num_trials=30, sampler="random", storage=storage)
    while (trial := queue.claim()) is not None:
        measure(queue, trial)


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_four_processes_reach_the_same_total(tmp_path: Path, kind: str) -> None:
    storage = f"sqlite:///{tmp_path}/study.db" if kind == "sqlite" else None
    count_with(tmp_path, storage)


def count_with(path: Path, storage: str | None) -> None:
    """Four processes at once, the making of the storage among what they do at once."""
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=work, args=(path, storage)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
    assert [worker.exitcode for worker in workers] == [0] * 4
    queue = queue_of(path, num_trials=30, storage=storage)
    assert queue.counts() == {"complete": 30}
    assert len({trial.params["lr"] for trial in queue.trials()}) == 30


def test_enqueued_points_come_first_and_only_once(tmp_path: Path) -> None:
    points = [({"lr": 0.001, "n": 2}, "default"), ({"lr": 0.05, "n": 1}, "given")]
    for _ in range(3):
        queue_of(tmp_path).enqueue(points)
    queue = queue_of(tmp_path)
    assert len(queue.trials()) == 2 and queue.started() == []
    assert [queue.point(queue.claim()) for _ in points] == [point for point, _ in points]


def test_best_trials_come_first(tmp_path: Path) -> None:
    queue = queue_of(tmp_path)
    for value in (0.1, 0.9, None, 0.9):
        trial = queue.claim()
        queue.point(trial)
        queue.finish(trial, complete(value) if value else Outcome("pruned"), {})
    assert [trial.number for trial in queue.best(2)] == [1, 3]
    assert queue.front() == []


def test_pareto_front_comes_first(tmp_path: Path) -> None:
    queue = queue_of(tmp_path, {"val/accuracy": "max", "num_parameters": "min"}, sampler="nsga2")
    for values in ((0.8, 10), (0.9, 100), (0.7, 50), (0.9, 90)):
        trial = queue.claim()
        queue.point(trial)
        queue.finish(trial, complete(*values), {})
    assert {trial.number for trial in queue.front()} == {0, 3}
    assert [trial.number for trial in queue.best(4)] == [3, 0, 1, 2]


def test_incomplete_journal_line_is_dropped(tmp_path: Path) -> None:
    queue = queue_of(tmp_path)
    queue.point(queue.claim())
    with open(SweepDir(tmp_path).study_path, "ab") as file:
        file.write(b'{"op_code":4,"work')
    again = queue_of(tmp_path)
    assert len(again.trials()) == 1
    again.point(again.claim())
    queue.study.set_user_attr("still", "here")  # one that had opened it before
    assert len(queue_of(tmp_path).trials()) == 2
