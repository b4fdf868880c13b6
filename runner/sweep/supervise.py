"""Keeps the workers of a sweep busy until all trials have ended, whether they complete, fail or are
killed.
"""

from __future__ import annotations

import os
import signal
import time
import warnings
from typing import Any, Protocol

from optuna.trial import Trial

from runner.config.checks.folds import of_all_folds
from runner.errors import Interrupted
from runner.launch.elastic import needs_agent, num_workers
from runner.run.files import remove
from runner.run.format import read_stored_config
from runner.sweep.directory import SweepDir
from runner.sweep.executors.choose import Executor
from runner.sweep.executors.slots import Slot
from runner.sweep.request import Request
from runner.sweep.running_trial import Attempt, Event, Running
from runner.sweep.trial import (
    Outcome,
    close_status,
    end_of,
    is_prepared,
    judge,
    mean_of,
    prepare_trial,
    run_of,
)
from runner.sweep.trial_queue import TrialQueue

__all__ = ["Supervisor", "View"]

POLL_INTERVAL_S = 0.25
CLAIM_EVERY_S = 1.0
OWN_EVERY_S = 10.0
GIB = 2**30
CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)


class View(Protocol):
    """What shows how the sweep goes."""

    def update(self, running: list[Running]) -> None: ...

    def ended(self, running: Running, outcome: Outcome) -> None: ...

    def note(self, text: str) -> None: ...


class Supervisor:
    """
    Args:
        slots: as many trials at a time.
        provenance: of the sweep, for each trial's own.
        num_threads: of each process of a trial.
        stays: whether it waits until the last trial of any owner has ended; otherwise it leaves when no trial
            is left to start.
    """

    def __init__(
        self,
        sweep: SweepDir,
        request: Request,
        book: TrialQueue,
        executor: Executor,
        view: View,
        provenance: dict[str, Any],
        slots: list[Slot],
        num_threads: int = 1,
        stays: bool = True,
    ) -> None:
        self.sweep, self.request, self.book, self.executor, self.view = sweep, request, book, executor, view
        self.settings = request.settings
        self.provenance = provenance
        self.num_threads = num_threads
        self.stays = stays
        self.running: dict[int, Running] = {}
        self._free = list(slots)
        self._claim_at = self._own_at = 0.0
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
            while self.running or self._waits():
                for event in self.executor.wait(POLL_INTERVAL_S):
                    self._take(event)
                self._watch_clock()
                self._fill()
                self.view.update(list(self.running.values()))
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
        if self._asked_to_stop is not None:
            raise Interrupted("the sweep was stopped; the same command continues it.", self._asked_to_stop)

    def _waits(self) -> bool:
        """For trials of other processes, which may die."""
        return self.stays and self._asked_to_stop is None and bool(self.book.unfinished())

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
        while self._asked_to_stop is None and self._free and time.monotonic() >= self._claim_at:
            trial = self.book.claim()
            if trial is None:
                self._claim_at = time.monotonic() + CLAIM_EVERY_S
                return
            self._begin(trial, self._free.pop(0))

    def _begin(self, trial: Trial, slot: Slot) -> None:
        overrides = self.request.space.overrides(self.book.point(trial))
        noted = self.book.frozen(trial).user_attrs
        attempts = list(noted.get("attempts", []))
        running = Running(trial, run_of(self.sweep, trial.number), overrides, slot, attempts)
        self.running[trial.number] = running
        running.close_earlier()
        if noted.get("overrides") != overrides:
            trial.set_user_attr("overrides", overrides)
        self._go_on(running)

    def _go_on(self, running: Running) -> None:
        """Starts a worker on the first run of the trial that is not done yet; ends the trial after the
        last.
        """
        while len(running.measured) < self.settings.repeats:
            repeat = len(running.measured)
            running.run = run_of(self.sweep, running.number, repeat)
            if not is_prepared(running.run):
                self._prepare(running, repeat)
            found = end_of(running.run, self.request.objectives)
            if found is None:
                self._attempt(running)
                return
            if found.state != "complete" or self._lags(running, found):
                self._end(running, found if found.state != "complete" else self._pruned(running))
                return
        self._end(running, mean_of(running.measured))

    def _prepare(self, running: Running, repeat: int) -> None:
        composition = self.request.compose(running.overrides)
        composition.config.run.name = f"{self.sweep.name}_{running.number}"
        own = []
        if of_all_folds(composition.config):
            composition.config.folds.index = repeat
            own = [f"folds.index={repeat}"]
        elif repeat:
            composition.config.seed += repeat
            own = [f"seed={composition.config.seed}"]
        for key in ("plots", "report"):
            if key not in composition.explicit:
                composition.config[key] = False
        experiment = [self.request.experiment] if self.request.experiment else []
        command = ["runner", "train", *experiment, *self.request.fixed, *running.overrides]
        prepare_trial(running.run, composition, self.provenance, [*command, *own])

    def _lags(self, running: Running, found: Outcome) -> bool:
        """Whether a trial of several seeds is worse than the best on the seeds so far, beyond doubt."""
        running.measured.append(found.values)
        if self.settings.repeats == 1 or len(running.measured) == self.settings.repeats:
            return False
        self._tell_value(running, len(running.measured), found.value)
        return self.settings.pruner != "none" and running.trial.should_prune()

    def _pruned(self, running: Running) -> Outcome:
        kind = "folds" if of_all_folds(self.request.base.config) else "seeds"
        return Outcome(
            "pruned", reason=f"pruned after {len(running.measured)} of {self.settings.repeats} {kind}"
        )

    def _attempt(self, running: Running) -> None:
        if self._asked_to_stop is not None:
            self._leave(running)
            return
        running.begin_attempt(f"{self.book.presence.place}/{running.slot.number}")
        running.trial.set_user_attr("attempts", running.attempts)
        memory, config = self.settings.memory_gib, read_stored_config(running.run.config_path)
        self.executor.start(
            Attempt(
                trial=running.number,
                run=running.run.path,
                prunes=self._asks_to_prune(),
                metric=next(iter(self.request.objectives)),
                num_devices=num_workers(config.hardware),
                under_agent=config.launcher.kind != "local" and needs_agent(config),
                devices=running.slot.devices,
                environment=running.slot.environment,
                num_threads=self.num_threads,
                memory_bytes=None if memory is None else int(memory * GIB),
            )
        )

    def _asks_to_prune(self) -> bool:
        return self.settings.pruner != "none" and self.settings.repeats == 1

    def _take(self, event: Event) -> None:
        running = self.running.get(event.trial)
        if running is None:
            return
        running.heard_at = time.monotonic()
        if event.kind == "started":
            running.has_started(event.place)
            if self._asked_to_stop is not None:  # the trial had not started when the signal came
                self.executor.signal(running.number, signal.SIGTERM)
        elif event.kind == "report":
            self._report(running, event)
        elif event.kind == "ended":
            self._judge(running, event)

    def _report(self, running: Running, event: Event) -> None:
        running.epoch, running.value = event.epoch, event.value
        if self.settings.repeats == 1 and len(self.request.objectives) == 1:
            self._tell_value(running, event.epoch, event.value)
        if self._asks_to_prune():
            self.executor.answer(running.number, running.trial.should_prune())

    def _tell_value(self, running: Running, step: int, value: float) -> None:
        with warnings.catch_warnings():  # a trial resumed from a checkpoint may report an epoch twice
            warnings.simplefilter("ignore")
            running.trial.report(value, step)

    def _judge(self, running: Running, event: Event) -> None:
        outcome = judge(running.run, event.status, self.request.objectives, event.reason)
        if outcome.state == "lost" and running.verdict is not None:
            outcome = running.verdict
        if outcome.state == "lost" and self.settings.memory_gib and -event.status in CRASHES:
            reason = f"{outcome.reason}, out of memory within sweep.memory_gib={self.settings.memory_gib:g}?"
            outcome = Outcome("failed", reason=reason)
        running.end_attempt(outcome)
        running.verdict = None
        if running.disowned:
            self._forget(running)
        elif outcome.state == "lost":
            self._lost(running, outcome)
        elif outcome.state == "complete":
            self._go_on(running)
        else:
            self._end(running, outcome)

    def _lost(self, running: Running, outcome: Outcome) -> None:
        """Resumes a trial whose process was killed, up to ``max_retries`` times."""
        running.losses += 1
        if self._asked_to_stop is not None:
            self._leave(running)
        elif running.losses <= self.settings.max_retries:
            self.view.note(f"trial {running.number}: {outcome.reason}; it resumes from its last checkpoint")
            self._attempt(running)
        else:
            times = f", {running.losses} times" if running.losses > 1 else ""
            self._end(running, Outcome("failed", reason=f"{outcome.reason}{times}"))

    def _leave(self, running: Running) -> None:
        """The next sweep, or another process, takes it up."""
        running.trial.set_user_attr("attempts", running.attempts)
        self.book.let_go(running.trial)
        self._forget(running)

    def _end(self, running: Running, outcome: Outcome) -> None:
        close_status(running.run, outcome)
        notes = {"attempts": running.attempts, "seconds": round(running.spent_s, 3)}
        if self.settings.repeats > 1:
            notes["measured"] = [list(values) for values in running.measured]
        self.book.tell(running.trial, outcome, notes)
        self._forget(running)
        self._remove_losers()
        self.view.ended(running, outcome)

    def _forget(self, running: Running) -> None:
        del self.running[running.number]
        self._free.append(running.slot)

    def _remove_losers(self) -> None:
        """Only the best trials keep their checkpoints, so that disks do not fill."""
        kept = {trial.number for trial in self.book.best(self.settings.keep_checkpoints)}
        for trial in self.book.trials():
            if trial.state.is_finished() and trial.number not in kept | self._removed:
                self._removed.add(trial.number)
                for path in self.sweep.trial(trial.number).path.glob("**/checkpoints/*.ckpt"):
                    remove(path)

    def _watch_clock(self) -> None:
        """Ends trials that take too long, attempts that hang, and those that another process has taken
        over.
        """
        self.book.presence.beat()
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
        if now >= self._own_at:
            self._own_at = now + OWN_EVERY_S
            for running in self.running.values():
                if not running.disowned and not self.book.is_mine(running.trial):
                    running.disowned = True
                    self.executor.signal(running.number, signal.SIGKILL)
