"""What is done about each way an attempt can end, with an executor that starts nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import Interrupted
from runner.run.directory import RunDir
from runner.run.files import write_json
from runner.run.status import read_status, write_status
from runner.sweep import supervise
from runner.sweep.directory import SweepDir
from runner.sweep.executors.slots import Slot, make_slots
from runner.sweep.request import Request, make_request
from runner.sweep.running_trial import Attempt, Event
from runner.sweep.study import open_study
from runner.sweep.supervise import Supervisor
from runner.sweep.trial_queue import TrialQueue

LR = "optimizer.lr=tag(log,interval(1e-3,1e-1))"
Script = Callable[["FakeExecutor", Attempt], list[Event]]


class FakeExecutor:
    """
    Args:
        script: what comes of an attempt.
        clock: a list of one number of seconds, that moves with each wait.
    """

    def __init__(self, script: Script, clock: list[float]):
        self.script, self.clock = script, clock
        self.attempts: list[Attempt] = []
        self.answers: list[tuple[int, bool]] = []
        self.signals: list[tuple[int, int]] = []
        self._events: list[Event] = []
        self._heard: set[int] = set()

    def start(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self._events += [Event("started", attempt.trial), *self.script(self, attempt)]

    def answer(self, trial: int, prune: bool) -> None:
        self.answers.append((trial, prune))
        if prune:
            write_status(RunDir(self.of(trial).run), state="pruned", reason="lags behind")
            self._events.append(Event("ended", trial))

    def of(self, trial: int) -> Attempt:
        return [attempt for attempt in self.attempts if attempt.trial == trial][-1]

    def signal(self, trial: int, signum: int) -> None:
        self.signals.append((trial, signum))
        if trial in self._heard:  # before the start, no process can receive it
            self._events.append(Event("ended", trial, status=-signum))

    def wait(self, timeout_s: float) -> list[Event]:
        self.clock[0] += timeout_s
        events, self._events = self._events, []
        self._heard |= {event.trial for event in events if event.kind == "started"}
        return events

    def close(self) -> None:
        pass


class Silent:
    """A view that records the calls."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.outcomes: dict[int, tuple[str, str | None]] = {}

    def update(self, running) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)

    def ended(self, running, outcome) -> None:
        self.outcomes[running.number] = (outcome.state, outcome.reason)


def finish(attempt: Attempt, value: float = 0.5, parameters: int = 10) -> list[Event]:
    run = RunDir(attempt.run)
    best = {"monitor": "val/accuracy", "value": value}
    results = {"best": best, "val": {"val/accuracy": value}, "num_parameters": parameters}
    write_json(run.results_path, results)
    write_status(run, state="finished")
    return [Event("ended", attempt.trial)]


class Case:
    def __init__(self, path: Path, monkeypatch):
        self.path = path
        self.clock = [0.0]
        monkeypatch.setattr(supervise.time, "monotonic", lambda: self.clock[0])
        self.view = Silent()

    def run(self, script: Script, *words: str, slots: list[Slot] | None = None) -> FakeExecutor:
        request = make_request(["model=logistic", "data=digits", "hardware=cpu", LR, *words], None, [])
        return self.run_request(request, script, slots)

    def run_request(self, request: Request, script: Script, slots: list[Slot] | None = None) -> FakeExecutor:
        sweep = SweepDir(self.path / "s")
        sweep.trials.mkdir(parents=True, exist_ok=True)
        self.study = open_study(sweep, None, request.objectives)
        self.study.pruner = supervise_pruner(request)
        executor = FakeExecutor(script, self.clock)
        slots = slots or make_slots(request.settings.num_workers, 1, [])
        queue = TrialQueue(self.study, request.space, request.settings)
        Supervisor(sweep, request, queue, executor, self.view, {}, slots).run()
        return executor

    def states(self) -> list[str]:
        return [trial.state.name for trial in self.study.get_trials()]

    def notes(self, number: int) -> dict:
        return self.study.get_trials()[number].user_attrs


def supervise_pruner(request: Request):
    from runner.sweep.sampler import make_pruner

    return make_pruner(request.settings, 9)


@pytest.fixture
def case(tmp_path: Path, monkeypatch) -> Case:
    return Case(tmp_path, monkeypatch)


def test_killed_trial_is_resumed_a_limited_number_of_times(case: Case) -> None:
    def script(executor: FakeExecutor, attempt: Attempt) -> list[Event]:
        before = sum(one.trial == attempt.trial for one in executor.attempts)
        if attempt.trial == 1 or before == 1:
            return [Event("ended", attempt.trial, status=-9)]
        return finish(attempt)

    executor = case.run(script, "sweep.num_trials=2", "sweep.max_retries=2")
    assert case.states() == ["COMPLETE", "FAIL"]
    assert [attempt.trial for attempt in executor.attempts] == [0, 0, 1, 1, 1]
    assert [one["outcome"] for one in case.notes(0)["attempts"]] == ["lost", "complete"]
    assert [one["attempt"] for one in case.notes(1)["attempts"]] == [1, 2, 3]
    assert case.notes(1)["reason"] == "killed by SIGKILL, 3 times"
    assert read_status(SweepDir(case.path / "s").trial(1)).state == "failed"


def test_exceptions_are_not_retried(case: Case) -> None:
    def script(executor: FakeExecutor, attempt: Attempt) -> list[Event]:
        write_status(RunDir(attempt.run), state="failed", reason="NonFiniteLossError: the loss is nan")
        return [Event("ended", attempt.trial, status=1)]

    executor = case.run(script, "sweep.num_trials=1")
    assert len(executor.attempts) == 1
    assert case.view.outcomes == {0: ("failed", "NonFiniteLossError: the loss is nan")}


def test_silent_and_overlong_trials_are_killed(case: Case) -> None:
    def script(executor: FakeExecutor, attempt: Attempt) -> list[Event]:
        if attempt.trial == 0 and len(executor.attempts) == 2:
            return finish(attempt)
        return []  # never heard of again

    executor = case.run(script, "sweep.num_trials=2", "sweep.silence_s=10", "sweep.timeout_s=35")
    assert executor.signals[0] == (0, signal.SIGKILL)
    assert "no batch in 10 s" in case.view.notes[0]
    assert case.view.outcomes[0][0] == "complete"
    assert case.view.outcomes[1][0] == "failed"
    assert case.states() == ["COMPLETE", "FAIL"]


def test_trial_in_preparation_is_not_started_after_a_stop(case: Case, monkeypatch) -> None:
    request = make_request(
        ["model=logistic", "data=digits", "hardware=cpu", LR, "sweep.num_trials=3"], None, []
    )
    compose = request.compose
    done: list[Attempt] = []

    def stopped(overrides: list[str]):
        if done:
            os.kill(os.getpid(), signal.SIGTERM)
        return compose(overrides)

    def script(executor: FakeExecutor, attempt: Attempt) -> list[Event]:
        done.append(attempt)
        return finish(attempt)

    request.compose = stopped
    with pytest.raises(Interrupted):
        case.run_request(request, script)
    assert [attempt.trial for attempt in done] == [0]
    assert case.states() == ["COMPLETE", "RUNNING"] and case.notes(1)["owner"] == ""


def test_trial_starting_during_a_stop_is_interrupted(case: Case) -> None:
    def script(executor: FakeExecutor, attempt: Attempt) -> list[Event]:
        os.kill(os.getpid(), signal.SIGTERM)
        return []

    with pytest.raises(Interrupted):
        case.run(script, "sweep.num_trials=2", "sweep.timeout_s=60")
    assert case.states() == ["RUNNING"] and case.notes(0)["owner"] == ""


def test_scheduler_reports_why_a_trial_was_lost(case: Case) -> None:
    def script(executor: FakeExecutor, attempt: Attempt) -> list[Event]:
        return [Event("ended", attempt.trial, status=-9, reason="job 17 ended as NODE_FAIL")]

    case.run(script, "sweep.num_trials=1", "sweep.max_retries=0")
    assert case.notes(0)["reason"] == "job 17 ended as NODE_FAIL"


def test_each_trial_has_its_own_devices(case: Case) -> None:
    slots = make_slots(2, 2, ["0", "1", "4", "GPU-7"])
    executor = case.run(
        lambda executor, attempt: [] if len(executor.attempts) < 2 else finish_all(executor),
        "sweep.num_trials=4",
        "sweep.num_workers=2",
        slots=slots,
    )
    seen = [attempt.environment["CUDA_VISIBLE_DEVICES"] for attempt in executor.attempts]
    assert seen[:2] == ["0,1", "4,GPU-7"] and set(seen) == {"0,1", "4,GPU-7"}
    assert case.notes(0)["attempts"][0]["devices"] == ["0", "1"]


def finish_all(executor: FakeExecutor) -> list[Event]:
    done = {event.trial for event in executor._events if event.kind == "ended"}
    open_trials = [
        a for a in executor.attempts if a.trial not in done and not RunDir(a.run).results_path.exists()
    ]
    return [event for attempt in open_trials for event in finish(attempt)]


def test_lagging_trial_is_pruned(case: Case) -> None:
    def script(executor: FakeExecutor, attempt: Attempt) -> list[Event]:
        value = 0.9 if attempt.trial < 3 else 0.1
        events = [Event("report", attempt.trial, epoch=1, value=value)]
        return events if value == 0.1 else events + finish(attempt, value)

    executor = case.run(script, "sweep.num_trials=4", "sweep.pruner=asha")
    assert case.states() == ["COMPLETE"] * 3 + ["PRUNED"]
    assert executor.answers[-1] == (3, True)


def test_several_seeds_are_one_trial(case: Case) -> None:
    values = iter([0.4, 0.5, 0.6, 0.1, 0.2, 0.3])
    executor = case.run(
        lambda executor, attempt: finish(attempt, next(values)),
        "sweep.num_trials=2",
        "sweep.repeats=3",
        "seed=7",
    )
    assert case.states() == ["COMPLETE"] * 2
    assert [trial.value for trial in case.study.get_trials()] == pytest.approx([0.5, 0.2])
    assert case.notes(0)["measured"] == [[0.4], [0.5], [0.6]]
    runs = [RunDir(attempt.run) for attempt in executor.attempts[:3]]
    assert [run.path.name for run in runs] == ["0", "1", "2"] and len({run.path for run in runs}) == 3
    from omegaconf import OmegaConf

    assert [OmegaConf.load(run.config_path).seed for run in runs] == [7, 8, 9]


def test_wilcoxon_prunes_a_trial_that_is_worse_on_each_seed(case: Case) -> None:
    def script(executor: FakeExecutor, attempt: Attempt) -> list[Event]:
        seed = sum(one.trial == attempt.trial for one in executor.attempts)
        return finish(attempt, 0.9 - 0.01 * seed - 0.3 * attempt.trial)

    executor = case.run(script, "sweep.num_trials=2", "sweep.repeats=8", "sweep.pruner=wilcoxon")
    assert case.states() == ["COMPLETE", "PRUNED"]
    assert 8 + 2 <= len(executor.attempts) < 16
    assert "of 8 seeds" in case.notes(1)["reason"]


def test_cross_validation_folds_are_one_trial(case: Case) -> None:
    from omegaconf import OmegaConf

    def script(executor: FakeExecutor, attempt: Attempt) -> list[Event]:
        fold = OmegaConf.load(attempt.run / "config.yaml").folds.index
        return finish(attempt, 0.9 - 0.1 * fold - 0.3 * attempt.trial)

    words = ["sweep.num_trials=2", "folds=6", "sweep.pruner=wilcoxon", "seed=7"]
    executor = case.run(script, *words)
    assert case.states() == ["COMPLETE", "PRUNED"]
    assert case.study.get_trials()[0].value == pytest.approx(0.65)
    configs = [OmegaConf.load(attempt.run / "config.yaml") for attempt in executor.attempts[:6]]
    assert [(config.folds.index, config.seed) for config in configs] == [(fold, 7) for fold in range(6)]
    assert "of 6 folds" in case.notes(1)["reason"]


def test_several_objectives_are_stored(case: Case) -> None:
    words = ["sweep.objectives={val/accuracy:max,num_parameters:min}", "sweep=nsga2", "sweep.num_trials=3"]
    case.run(lambda executor, attempt: finish(attempt, 0.5 + attempt.trial / 10, 10 * attempt.trial), *words)
    assert [trial.values for trial in case.study.get_trials()] == [[0.5, 0], [0.6, 10], [0.7, 20]]


def test_checkpoints_of_worse_trials_are_deleted(case: Case) -> None:
    def script(executor: FakeExecutor, attempt: Attempt) -> list[Event]:
        shares = attempt.run / "checkpoints" / "step-2.ckpt"  # of several devices: a folder
        shares.mkdir()
        for path in (attempt.run / "checkpoints" / "step-1.ckpt", shares / "rest.pt"):
            path.write_bytes(b"x")
        return finish(attempt, attempt.trial % 3)

    case.run(script, "sweep.num_trials=5", "sweep.keep_checkpoints=2")
    kept = sorted(path.parts[-3] for path in case.path.glob("s/trials/*/checkpoints/*.ckpt"))
    assert kept == ["1", "1", "2", "2"]


def test_crash_under_a_memory_limit_is_not_retried(case: Case) -> None:
    executor = case.run(
        lambda executor, attempt: [Event("ended", attempt.trial, status=-signal.SIGABRT)],
        "sweep.num_trials=1",
        "sweep.memory_gib=1",
    )
    assert len(executor.attempts) == 1
    assert "sweep.memory_gib=1" in case.notes(0)["reason"]
