"""Keeps the slots of a sweep busy until all trials have completed, failed or been pruned."""

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
from runner.sweep.running_trial import Attempt, Event, RunningTrial
from runner.sweep.trial import (
    Outcome,
    attempt_outcome,
    close_status,
    is_prepared,
    mean_of,
    prepare_trial,
    run_of,
    run_outcome,
)
from runner.sweep.trial_queue import TrialQueue

__all__ = ["Supervisor", "View"]

POLL_INTERVAL_S = 0.25
CLAIM_INTERVAL_S = 1.0
OWNER_CHECK_INTERVAL_S = 10.0
GIB = 2**30
CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)


class View(Protocol):
    """Displays the progress of a sweep."""

    def update(self, running: list[RunningTrial]) -> None:
        """Redraw; called several times per second."""

    def ended(self, running: RunningTrial, outcome: Outcome) -> None:
        """Show the outcome of a trial."""

    def note(self, text: str) -> None:
        """Show a message."""


class Supervisor:
    """Executes the trials of a sweep in this process's slots.

    Args:
        sweep: the sweep's folder.
        request: settings, space and shared config.
        queue: the queue of trials.
        executor: starts and signals the workers.
        view: displays the progress.
        provenance: provenance of the sweep, copied to each trial.
        slots: one for each trial that runs at a time.
        num_threads: number of CPU threads of each process.
        stays: whether to wait until the trials of all owners have ended; otherwise `run` returns when no
            trial is left to start.
    """

    def __init__(
        self,
        sweep: SweepDir,
        request: Request,
        queue: TrialQueue,
        executor: Executor,
        view: View,
        provenance: dict[str, Any],
        slots: list[Slot],
        num_threads: int = 1,
        stays: bool = True,
    ) -> None:
        self.sweep, self.request, self.queue, self.executor, self.view = sweep, request, queue, executor, view
        self.settings = request.settings
        self.provenance = provenance
        self.num_threads = num_threads
        self.stays = stays
        self.running: dict[int, RunningTrial] = {}
        self._free = list(slots)
        self._next_claim_at = self._next_owner_check_at = 0.0
        self._stop_signal: int | None = None
        self._removed: set[int] = set()

    def run(self) -> None:
        """Execute trials until none is left.

        Raises:
            Interrupted: this process received a signal; the trials have saved their state.
        """
        before = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._fill_slots()
            while self.running or self._must_wait():
                for event in self.executor.wait(POLL_INTERVAL_S):
                    self._handle(event)
                self._check_limits()
                self._fill_slots()
                self.view.update(list(self.running.values()))
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
        if self._stop_signal is not None:
            raise Interrupted("the sweep was stopped; the same command continues it.", self._stop_signal)

    def _must_wait(self) -> bool:
        """Return whether other processes still have trials, which this one takes over if they die."""
        return self.stays and self._stop_signal is None and bool(self.queue.unfinished())

    def _stop(self, signum: int, _frame: object) -> None:
        if self._stop_signal is None:
            self._stop_signal = signum
            os.write(2, b"\nsaving the state of the running trials; press Ctrl-C again to kill them\n")
            for number in self.running:
                self.executor.signal(number, signal.SIGTERM)
            return
        for number in self.running:
            self.executor.signal(number, signal.SIGKILL)

    def _fill_slots(self) -> None:
        while self._stop_signal is None and self._free and time.monotonic() >= self._next_claim_at:
            trial = self.queue.claim()
            if trial is None:
                self._next_claim_at = time.monotonic() + CLAIM_INTERVAL_S
                return
            self._start_trial(trial, self._free.pop(0))

    def _start_trial(self, trial: Trial, slot: Slot) -> None:
        overrides = self.request.space.overrides(self.queue.point(trial))
        attributes = self.queue.frozen(trial).user_attrs
        attempts = list(attributes.get("attempts", []))
        running = RunningTrial(trial, run_of(self.sweep, trial.number), overrides, slot, attempts)
        self.running[trial.number] = running
        running.close_earlier()
        if attributes.get("overrides") != overrides:
            trial.set_user_attr("overrides", overrides)
        self._continue(running)

    def _continue(self, running: RunningTrial) -> None:
        """Start a worker on the first unfinished run of the trial; end the trial after the last one."""
        while len(running.measured) < self.settings.repeats:
            repeat = len(running.measured)
            running.run = run_of(self.sweep, running.number, repeat)
            if not is_prepared(running.run):
                self._prepare(running, repeat)
            outcome = run_outcome(running.run, self.request.objectives)
            if outcome is None:
                self._attempt(running)
                return
            if outcome.state != "complete" or self._should_prune_after(running, outcome):
                self._end(running, outcome if outcome.state != "complete" else self._pruned(running))
                return
        self._end(running, mean_of(running.measured))

    def _prepare(self, running: RunningTrial, repeat: int) -> None:
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

    def _should_prune_after(self, running: RunningTrial, outcome: Outcome) -> bool:
        """Record a run of a trial of several seeds; return whether the trial should be pruned."""
        running.measured.append(outcome.values)
        if self.settings.repeats == 1 or len(running.measured) == self.settings.repeats:
            return False
        self._report_value(running, len(running.measured), outcome.values[0])
        return self.settings.pruner != "none" and running.trial.should_prune()

    def _pruned(self, running: RunningTrial) -> Outcome:
        kind = "folds" if of_all_folds(self.request.base.config) else "seeds"
        return Outcome(
            "pruned", reason=f"pruned after {len(running.measured)} of {self.settings.repeats} {kind}"
        )

    def _attempt(self, running: RunningTrial) -> None:
        if self._stop_signal is not None:
            self._release(running)
            return
        running.begin_attempt(f"{self.queue.liveness.label}/{running.slot.number}")
        running.trial.set_user_attr("attempts", running.attempts)
        memory, config = self.settings.memory_gib, read_stored_config(running.run.config_path)
        self.executor.start(
            Attempt(
                trial=running.number,
                run=running.run.path,
                prunes=self._prunes_epochs(),
                metric=next(iter(self.request.objectives)),
                num_devices=num_workers(config.hardware),
                under_agent=config.launcher.kind != "local" and needs_agent(config),
                devices=running.slot.devices,
                environment=running.slot.environment,
                num_threads=self.num_threads,
                memory_bytes=None if memory is None else int(memory * GIB),
            )
        )

    def _prunes_epochs(self) -> bool:
        return self.settings.pruner != "none" and self.settings.repeats == 1

    def _handle(self, event: Event) -> None:
        running = self.running.get(event.trial)
        if running is None:
            return
        running.last_event_at = time.monotonic()
        if event.kind == "started":
            running.mark_started(event.location)
            if self._stop_signal is not None:  # the trial had not started when the signal arrived
                self.executor.signal(running.number, signal.SIGTERM)
        elif event.kind == "report":
            self._report(running, event)
        elif event.kind == "ended":
            self._end_attempt(running, event)

    def _report(self, running: RunningTrial, event: Event) -> None:
        running.epoch, running.value = event.epoch, event.value
        if self.settings.repeats == 1 and len(self.request.objectives) == 1:
            self._report_value(running, event.epoch, event.value)
        if self._prunes_epochs():
            self.executor.answer(running.number, running.trial.should_prune())

    def _report_value(self, running: RunningTrial, step: int, value: float) -> None:
        # Optuna 5.0 warns about a repeated step: a trial resumed from a checkpoint may report an epoch twice.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            running.trial.report(value, step)

    def _end_attempt(self, running: RunningTrial, event: Event) -> None:
        outcome = attempt_outcome(running.run, event.status, self.request.objectives, event.reason)
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
            self._retry(running, outcome)
        elif outcome.state == "complete":
            self._continue(running)
        else:
            self._end(running, outcome)

    def _retry(self, running: RunningTrial, outcome: Outcome) -> None:
        """Resume a trial whose process was killed, up to ``max_retries`` times."""
        running.losses += 1
        if self._stop_signal is not None:
            self._release(running)
        elif running.losses <= self.settings.max_retries:
            self.view.note(f"trial {running.number}: {outcome.reason}; it resumes from its last checkpoint")
            self._attempt(running)
        else:
            times = f", {running.losses} times" if running.losses > 1 else ""
            self._end(running, Outcome("failed", reason=f"{outcome.reason}{times}"))

    def _release(self, running: RunningTrial) -> None:
        """Leave the trial to another process or to the resumed sweep."""
        running.trial.set_user_attr("attempts", running.attempts)
        self.queue.release(running.trial)
        self._forget(running)

    def _end(self, running: RunningTrial, outcome: Outcome) -> None:
        close_status(running.run, outcome)
        attributes: dict[str, Any] = {"attempts": running.attempts, "seconds": round(running.spent_s, 3)}
        if self.settings.repeats > 1:
            attributes["measured"] = [list(values) for values in running.measured]
        self.queue.finish(running.trial, outcome, attributes)
        self._forget(running)
        self._remove_checkpoints()
        self.view.ended(running, outcome)

    def _forget(self, running: RunningTrial) -> None:
        del self.running[running.number]
        self._free.append(running.slot)

    def _remove_checkpoints(self) -> None:
        """Remove the checkpoints of all but the best trials, so that the disk does not fill up."""
        kept = {trial.number for trial in self.queue.best(self.settings.keep_checkpoints)}
        for trial in self.queue.trials():
            if trial.state.is_finished() and trial.number not in kept | self._removed:
                self._removed.add(trial.number)
                for path in self.sweep.trial(trial.number).path.glob("**/checkpoints/*.ckpt"):
                    remove(path)

    def _check_limits(self) -> None:
        """Kill trials that take too long, hung attempts, and trials that another process has taken over."""
        self.queue.liveness.beat()
        now = time.monotonic()
        for running in self.running.values():
            if running.started_at is None or running.verdict is not None:
                continue
            limit, silence = self.settings.timeout_s, self.settings.silence_s
            if limit is not None and running.seconds() > limit:
                running.verdict = Outcome("failed", reason=f"took longer than sweep.timeout_s={limit:g}")
            elif silence is not None and now - running.last_event_at > silence:
                running.verdict = Outcome("lost", reason=f"no batch in {silence:g} s (sweep.silence_s)")
            else:
                continue
            self.executor.signal(running.number, signal.SIGKILL)
        if now >= self._next_owner_check_at:
            self._next_owner_check_at = now + OWNER_CHECK_INTERVAL_S
            for running in self.running.values():
                if not running.disowned and not self.queue.is_own(running.trial):
                    running.disowned = True
                    self.executor.signal(running.number, signal.SIGKILL)
