"""A running trial and the record of its attempts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from optuna.trial import Trial

from runner.run.directory import RunDir
from runner.sweep.executors.slots import Slot
from runner.sweep.trial import Outcome

__all__ = ["Attempt", "Event", "RunningTrial"]


@dataclass(frozen=True)
class Attempt:
    """The instructions for an executor to execute a trial once.

    Attributes:
        trial: number of the trial in the study.
        run: the prepared run directory; a worker resumes from its last checkpoint, if any.
        prunes: whether the worker waits for an answer to each value that it reports.
        metric: the metric to report; None for the task's monitored metric.
        num_devices: number of devices of the trial, each with its own process.
        under_agent: whether PyTorch's elastic agent starts the processes, which then use a `Mailbox`.
        devices: names of the devices reserved for the trial; empty if another system assigns them.
        environment: additional environment variables of its processes.
        num_threads: number of CPU threads of each process.
        memory_bytes: address space that a process may allocate in addition to the libraries.
    """

    trial: int
    run: Path
    prunes: bool = False
    metric: str | None = None
    num_devices: int = 1
    under_agent: bool = False
    devices: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    num_threads: int = 1
    memory_bytes: int | None = None

    @property
    def output(self) -> Path:
        """File that receives the output of its processes."""
        return self.run / "logs" / "output.log"

    def as_dict(self) -> dict[str, Any]:
        """Return the attempt in plain containers."""
        return vars(self) | {"run": str(self.run), "devices": list(self.devices)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Attempt:
        """Return the attempt that `as_dict` has stored."""
        return cls(**stored | {"run": Path(stored["run"]), "devices": tuple(stored["devices"])})


@dataclass(frozen=True)
class Event:
    """An event of an attempt.

    Attributes:
        kind: ``started`` when a process executes it, ``report`` after an epoch, ``beat`` for a heartbeat, or
            ``ended``.
        trial: number of the trial.
        location: with ``started``, another machine that executes it, such as ``node3, job 17``.
        epoch: with ``report``, the number of epochs done.
        value: with ``report``, the metric.
        status: with ``ended``, the exit code, or the negative number of the signal that killed it.
        reason: with ``ended``, a reason that the run's status lacks, such as ``cancelled by the scheduler``.
    """

    kind: Literal["started", "report", "beat", "ended"]
    trial: int
    location: str | None = None
    epoch: int = 0
    value: float = 0.0
    status: int = 0
    reason: str | None = None


@dataclass
class RunningTrial:
    """A trial that this process supervises.

    Attributes:
        trial: the trial in the study.
        run: the run directory that is executed now; a trial of several seeds has several.
        overrides: the trial's point as overrides.
        slot: the slot that it occupies.
        attempts: all of its attempts as stored in the study, including those of earlier processes.
        losses: number of attempts that were lost under this process.
        measured: values of the objectives of each run that has ended.
        started_at: start of the current attempt by the monotonic clock; None before it has started.
        submitted_at: submission of the current attempt or, once it has started, its start, likewise.
        last_event_at: time of the last event, likewise.
        epoch: number of epochs done.
        value: the metric after that epoch.
        verdict: outcome decided by the sweep, if it ended the attempt.
        disowned: whether another process has taken over the trial.
    """

    trial: Trial
    run: RunDir
    overrides: list[str]
    slot: Slot
    attempts: list[dict[str, Any]] = field(default_factory=list)
    losses: int = 0
    measured: list[tuple[float, ...]] = field(default_factory=list)
    started_at: float | None = None
    submitted_at: float = 0.0
    last_event_at: float = 0.0
    epoch: int = 0
    value: float | None = None
    verdict: Outcome | None = None
    disowned: bool = False

    @property
    def number(self) -> int:
        """Number of the trial in the study."""
        return self.trial.number

    @property
    def spent_s(self) -> float:
        """Duration of the attempts that have ended, in seconds."""
        return sum(seconds_of(attempt) for attempt in self.attempts if attempt["end"] is not None)

    def seconds(self) -> float:
        """Return the duration of all attempts, including the current one."""
        return self.spent_s + (0.0 if self.started_at is None else time.monotonic() - self.started_at)

    def begin_attempt(self, worker: str) -> None:
        """Record that an attempt was submitted.

        Args:
            worker: ``HOST:PID/SLOT``.
        """
        self.started_at = None  # the first attempt waits until the fork server has imported the libraries
        self.last_event_at = self.submitted_at = time.monotonic()
        self.attempts.append(
            {
                "attempt": len(self.attempts) + 1,
                "worker": worker,
                "devices": list(self.slot.devices),
                "start": time.time(),
                "end": None,
                "outcome": None,
                "reason": None,
            }
        )

    def mark_started(self, location: str | None) -> None:
        """Record that a process executes the attempt.

        Args:
            location: the machine, if it is not this one.
        """
        self.started_at = self.submitted_at = time.monotonic()
        self.attempts[-1]["start"] = time.time()
        if location:
            self.attempts[-1]["worker"] = location

    def end_attempt(self, outcome: Outcome) -> None:
        """Record the end of the current attempt."""
        self.started_at = None
        seconds = round(time.monotonic() - self.submitted_at, 3)
        ended = {"end": time.time(), "seconds": seconds, "outcome": outcome.state, "reason": outcome.reason}
        self.attempts[-1] |= ended

    def close_earlier(self) -> None:
        """End the records of attempts whose sweep was killed, at the time of the run's last output."""
        for attempt in self.attempts:
            if attempt["end"] is None:
                attempt |= {"end": max(attempt["start"], last_output_at(self.run)), "outcome": "lost"}
                attempt["reason"] = "the sweep was ended"


def seconds_of(attempt: dict[str, Any]) -> float:
    """Return the duration of an attempt that has ended; if not measured, the difference of its timestamps."""
    if "seconds" in attempt:
        return float(attempt["seconds"])
    return max(attempt["end"] - attempt["start"], 0.0)  # the clock may have been set back in between


def last_output_at(run: RunDir) -> float:
    """Return the time of the run's last output in seconds since the Unix epoch; 0 without output."""
    paths = [run.metrics_path, run.status_path, run.logs / "output.log"]
    return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)
