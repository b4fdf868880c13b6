"""A trial that this process sees to, and the record of its attempts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import Trial

from runner.run.directory import RunDir
from runner.sweep.slots import Slot
from runner.sweep.trial import Outcome

__all__ = ["Running"]


@dataclass
class Running:
    """
    Attributes:
        run: the run directory that is executed now; a trial of several seeds has several.
        attempts: all of its attempts, earlier sweeps' among them, as the study keeps them.
        losses: attempts that were lost while this process watched.
        measured: values of the objectives, of each run that has ended.
        started_at: of the present attempt, None before it has begun.
        begun_at: of the present attempt, from its submission until it has begun. Both read the monotonic clock.
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
