"""Keeps the workers of a sweep busy until all trials there shall be have ended, whatever happens to each."""

from __future__ import annotations

import os
import signal
import time
import warnings
from dataclasses import dataclass
from typing import Any, Protocol

from omegaconf import OmegaConf
from optuna.trial import Trial

from runner.errors import Interrupted
from runner.launch.elastic import needs_agent, num_workers
from runner.run.directory import RunDir
from runner.run.status import read_status
from runner.sweep.attempt import Attempt, Event
from runner.sweep.book import Book
from runner.sweep.directory import SweepDir
from runner.sweep.executor import Executor
from runner.sweep.request import Request
from runner.sweep.trial import Outcome, close_status, judge, prepare_trial, result_of

__all__ = ["Running", "Supervisor", "View"]

LOOK_EVERY_S = 0.25
GRACE_S = 20.0
GIB = 2**30


@dataclass
class Running:
    """A trial that a worker is at.

    Attributes:
        spent_s: by the attempts that have ended.
        started_at: of the present attempt, None before it has begun.
        verdict: why the sweep itself ended it.
    """

    trial: Trial
    run: RunDir
    overrides: list[str]
    attempts: int = 0
    spent_s: float = 0.0
    started_at: float | None = None
    heard_at: float = 0.0
    epoch: int = 0
    value: float | None = None
    verdict: Outcome | None = None

    @property
    def number(self) -> int:
        return self.trial.number

    def seconds(self) -> float:
        return self.spent_s + (0.0 if self.started_at is None else time.monotonic() - self.started_at)


class View(Protocol):
    """What shows how the sweep goes."""

    def update(self, running: list[Running]) -> None: ...

    def ended(self, running: Running, outcome: Outcome) -> None: ...

    def note(self, text: str) -> None: ...


class Supervisor:
    """
    Args:
        provenance: of the sweep, for each trial's own.
        num_threads: of each worker.
    """

    def __init__(
        self,
        sweep: SweepDir,
        request: Request,
        book: Book,
        executor: Executor,
        view: View,
        provenance: dict[str, Any],
        num_threads: int = 1,
    ):
        self.sweep, self.request, self.book, self.executor, self.view = sweep, request, book, executor, view
        self.settings = request.settings
        self.provenance = provenance
        self.num_threads = num_threads
        self.running: dict[int, Running] = {}
        self._left = book.unfinished()
        self._asked_to_stop: int | None = None
        self._removed: set[int] = set()

    def run(self) -> None:
        """Returns when no trial is left.

        Raises:
            Interrupted: a signal came; the trials have saved their state.
        """
        before = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._fill()
            while self.running:
                for event in self.executor.wait(LOOK_EVERY_S):
                    self._take(event)
                self._watch_clock()
                self._fill()
                self.view.update(list(self.running.values()))
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
        if self._asked_to_stop is not None:
            raise Interrupted("the sweep was stopped; the same command goes on.", self._asked_to_stop)

    def _stop(self, signum: int, _frame: object) -> None:
        if self._asked_to_stop is None:
            self._asked_to_stop = signum
            os.write(2, b"\nsaving the state of the running trials; Ctrl-C once more ends them at once\n")
            for number in self.running:
                self.executor.signal(number, signal.SIGTERM)
            return
        for number in self.running:
            self.executor.signal(number, signal.SIGKILL)

    def _fill(self) -> None:
        while self._asked_to_stop is None and len(self.running) < self.settings.num_workers:
            trial = self._left.pop(0) if self._left else self.book.next()
            if trial is None:
                return
            self._begin(trial)

    def _begin(self, trial: Trial) -> None:
        """Makes the trial's directory, unless an earlier sweep has, and starts a worker on it."""
        run = self.sweep.trial(trial.number)
        overrides = self.request.space.overrides(self.book.point(trial))
        running = Running(trial, run, overrides)
        if not run.config_path.is_file():
            composition = self.request.compose(overrides)
            composition.config.run.name = str(trial.number)
            for key in ("plots", "report"):
                if key not in composition.explicit:
                    composition.config[key] = False
            command = ["runner", "train", *([self.request.experiment] if self.request.experiment else [])]
            prepare_trial(run, composition, self.provenance, [*command, *self.request.fixed, *overrides])
        elif read_status(run).state in ("finished", "pruned"):  # the sweep ended before it could tell
            self._end(running, result_of(run, self.settings.objective))
            return
        self._attempt(running)

    def _attempt(self, running: Running) -> None:
        running.attempts += 1
        running.started_at = None  # the first one waits until the process that forks has imported everything
        self.running[running.number] = running
        memory = self.settings.memory_gib
        config = OmegaConf.load(running.run.config_path)
        self.executor.start(
            Attempt(
                trial=running.number,
                run=running.run.path,
                num_devices=num_workers(config.hardware),
                under_agent=needs_agent(config),
                prunes=self.settings.pruner != "none",
                metric=self.settings.objective,
                num_threads=self.num_threads,
                memory_bytes=None if memory is None else int(memory * GIB),
            )
        )

    def _take(self, event: Event) -> None:
        running = self.running.get(event.trial)
        if running is None:
            return
        running.heard_at = time.monotonic()
        if event.kind == "started":
            running.started_at = running.heard_at
        elif event.kind == "report":
            self._report(running, event)
        elif event.kind == "ended":
            del self.running[event.trial]
            self._judge(running, event.status)

    def _report(self, running: Running, event: Event) -> None:
        running.epoch, running.value = event.epoch, event.value
        with warnings.catch_warnings():  # a trial that goes on from a checkpoint may tell an epoch twice
            warnings.simplefilter("ignore")
            running.trial.report(event.value, event.epoch)
        if self.settings.pruner != "none":
            self.executor.answer(running.number, running.trial.should_prune())

    def _judge(self, running: Running, status: int) -> None:
        outcome = judge(running.run, status, self.settings.objective)
        if outcome.state == "lost" and running.verdict is not None:
            outcome = running.verdict
        if outcome.state == "lost" and self._asked_to_stop is not None:
            return  # stays unfinished: the next sweep takes it up
        running.spent_s, running.started_at = running.seconds(), None
        if outcome.state == "lost" and running.attempts <= self.settings.max_retries:
            running.verdict = None
            self.view.note(f"trial {running.number}: {outcome.reason}; it goes on from its last checkpoint")
            self._attempt(running)
            return
        if outcome.state == "lost":
            outcome = Outcome("failed", reason=f"{outcome.reason}, {running.attempts} times")
        self._end(running, outcome)

    def _end(self, running: Running, outcome: Outcome) -> None:
        close_status(running.run, outcome)
        notes = {"attempts": running.attempts, "seconds": round(running.spent_s, 3), "pid": os.getpid()}
        self.book.tell(running.trial, outcome, notes)
        self._remove_losers()
        self.view.ended(running, outcome)

    def _remove_losers(self) -> None:
        """Only the best trials keep their checkpoints, so that disks do not fill."""
        kept = {trial.number for trial in self.book.best(self.settings.keep_checkpoints)}
        for trial in self.book.trials():
            if trial.state.is_finished() and trial.number not in kept | self._removed:
                self._removed.add(trial.number)
                for path in self.sweep.trial(trial.number).checkpoints.glob("*.ckpt"):
                    path.unlink()

    def _watch_clock(self) -> None:
        """Ends trials that take too long, and attempts that hang."""
        now = time.monotonic()
        for running in self.running.values():
            if running.started_at is None or running.verdict is not None:
                continue
            limit, silence = self.settings.timeout_s, self.settings.silence_s
            if limit is not None and running.seconds() > limit:
                running.verdict = Outcome("failed", reason=f"took longer than sweep.timeout_s={limit:g}")
            elif silence is not None and now - running.heard_at > silence:
                running.verdict = Outcome("lost", reason=f"no batch in {silence:g} s (sweep.silence_s)")
            else:
                continue
            self.executor.signal(running.number, signal.SIGKILL)
