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

__all__ = ["Attempt", "Event", "Running"]


@dataclass(frozen=True)
class Attempt:
    """What an executor needs to know to carry one out.

    Attributes:
        trial: its number in the study.
        run: the prepared run directory; a worker resumes from its last checkpoint, if any.
        prunes: the worker waits for an answer to each value it reports.
        metric: what it reports; the task's own when None.
        num_devices: of the trial, each with a process of its own.
        under_agent: its processes are started by PyTorch's elastic agent, and talk through a ``Mailbox``.
        devices: those it has to itself, by the names their library knows them by; empty where that is left to
            others.
        environment: further variables of its processes.
        num_threads: of the processor, for each process.
        memory_bytes: address space that a process may take beyond what the libraries need.
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
        """Where what its processes print goes."""
        return self.run / "logs" / "output.log"

    def as_dict(self) -> dict[str, Any]:
        return vars(self) | {"run": str(self.run), "devices": list(self.devices)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Attempt:
        return cls(**stored | {"run": Path(stored["run"]), "devices": tuple(stored["devices"])})


@dataclass(frozen=True)
class Event:
    """Something that came from an attempt.

    Attributes:
        kind: ``started`` once a process is at it; ``report`` after an epoch; ``beat``, a sign of life;
            ``ended``.
        place: of ``started``: where, when it is another machine: ``node3, job 17``.
        epoch, value: of ``report``: epochs done, and the metric.
        status: of ``ended``: an exit code, or the negative number of the signal that killed it.
        reason: of ``ended``, when the executor knows more than the run's own status: ``cancelled by the
            scheduler``.
    """

    kind: Literal["started", "report", "beat", "ended"]
    trial: int
    place: str | None = None
    epoch: int = 0
    value: float = 0.0
    status: int = 0
    reason: str | None = None


@dataclass
class Running:
    """
    Attributes:
        run: the run directory that is executed now; a trial of several seeds has several.
        attempts: all of its attempts, earlier sweeps' among them, as the study keeps them.
        losses: attempts that were lost while this process watched.
        measured: values of the objectives, of each run that has ended.
        started_at: of the present attempt, None before it has begun.
        begun_at: of the present attempt, from its submission until it has begun. Both read the monotonic
            clock.
        verdict: why the sweep itself ended it.
        disowned: another process sees to it now.
    """

    trial: Trial
    run: RunDir
    overrides: list[str]
    slot: Slot
    attempts: list[dict[str, Any]] = field(default_factory=list)
    losses: int = 0
    measured: list[tuple[float, ...]] = field(default_factory=list)
    started_at: float | None = None
    begun_at: float = 0.0
    heard_at: float = 0.0
    epoch: int = 0
    value: float | None = None
    verdict: Outcome | None = None
    disowned: bool = False

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def spent_s(self) -> float:
        """By the attempts that have ended."""
        return sum(seconds_of(one) for one in self.attempts if one["end"] is not None)

    def seconds(self) -> float:
        return self.spent_s + (0.0 if self.started_at is None else time.monotonic() - self.started_at)

    def begin_attempt(self, worker: str) -> None:
        self.started_at = None  # the first one waits until the process that forks has imported everything
        self.heard_at = self.begun_at = time.monotonic()
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

    def has_started(self, place: str | None) -> None:
        """A process is at it; ``place`` names another machine."""
        self.started_at = self.begun_at = time.monotonic()
        self.attempts[-1]["start"] = time.time()
        if place:
            self.attempts[-1]["worker"] = place

    def end_attempt(self, outcome: Outcome) -> None:
        self.started_at = None
        seconds = round(time.monotonic() - self.begun_at, 3)
        ended = {"end": time.time(), "seconds": seconds, "outcome": outcome.state, "reason": outcome.reason}
        self.attempts[-1] |= ended

    def close_earlier(self) -> None:
        """Ends the records of attempts that a killed sweep could not: at the last sign of life."""
        for one in self.attempts:
            if one["end"] is None:
                one |= {"end": max(one["start"], last_sign(self.run)), "outcome": "lost"}
                one["reason"] = "the sweep was ended"


def seconds_of(attempt: dict[str, Any]) -> float:
    """Duration of an attempt that has ended; without a measurement, the difference of its two timestamps."""
    if "seconds" in attempt:
        return attempt["seconds"]
    return max(attempt["end"] - attempt["start"], 0.0)  # the clock may have been set back in between


def last_sign(run: RunDir) -> float:
    """When a run wrote something for the last time; 0 when it never did."""
    paths = [run.metrics_path, run.status_path, run.logs / "output.log"]
    return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)
