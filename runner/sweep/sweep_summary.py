"""A sweep as it stands on the disk: what it searches, and every trial with all that is known of it."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from runner.errors import RunNotFoundError
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.status import process_started_at
from runner.sweep.directory import SweepDir
from runner.sweep.plan import read_plan
from runner.sweep.study import load_study

__all__ = ["Attempt", "SweepRecord", "TrialRecord", "choices_of", "read_record", "shown"]

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class Attempt:
    """One go of a worker at a trial.

    Attributes:
        worker: ``HOST:PID/SLOT``.
        start, end: seconds since the epoch; the end is None while it runs.
        outcome: complete, pruned, failed, lost, or running.
    """

    worker: str
    start: float
    end: float | None
    outcome: str


@dataclass(frozen=True)
class TrialRecord:
    """
    Attributes:
        state: complete, pruned, failed or running.
        values: of the objectives; None where the trial has none.
        params: by the keys of the space; only those that the trial has.
        given: ``key=value`` for each of them, as one would type it; empty before its directory was made.
        intermediate_values: epoch, from 1 → the value reported then; for a trial of several seeds, their
            number → their mean.
        began_at, ended_at: seconds since the epoch; None: not yet.
        seconds: that its workers were at it, all attempts together.
    """

    number: int
    state: str
    values: tuple[float, ...] | None
    params: dict[str, Any]
    given: list[str]
    distributions: dict[str, BaseDistribution]
    intermediate_values: dict[int, float]
    began_at: float | None
    ended_at: float | None
    seconds: float | None
    attempts: tuple[Attempt, ...]
    reason: str | None
    origin: str | None
    run: RunDir

    def overrides(self) -> list[str]:
        """For people: numbers in six digits."""
        return [f"{key}={shown(value)}" for key, value in self.params.items()]

    def as_dict(self) -> dict[str, Any]:
        names = (
            "number",
            "state",
            "values",
            "params",
            "intermediate_values",
            "began_at",
            "ended_at",
            "seconds",
            "reason",
            "origin",
        )
        found = {name: getattr(self, name) for name in names}
        return found | {"attempts": [vars(one) for one in self.attempts], "path": str(self.run.path)}

    def value(self, objective: int = 0) -> float:
        """The value of one objective; for a pruned or running trial the last reported value; otherwise
        NaN.
        """
        if self.values is not None:
            return self.values[objective]
        if objective == 0 and self.intermediate_values and self.state in ("pruned", "running"):
            return self.intermediate_values[max(self.intermediate_values)]
        return math.nan


@dataclass
class SweepRecord:
    """
    Attributes:
        plan: as it stands in ``sweep.yaml``.
        metrics: names of the objectives.
        lower_is_better: of each objective.
        study: None before there is one.
    """

    sweep: SweepDir
    plan: dict[str, Any]
    metrics: list[str]
    lower_is_better: list[bool]
    study: Study | None = None
    trials: list[TrialRecord] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, Any]:
        return self.plan["settings"]

    @property
    def total(self) -> int:
        return read_json(self.sweep.status_path, {}).get("total") or self.settings["num_trials"]

    @property
    def state(self) -> str:
        """As a run's: running, finished, failed, interrupted, or lost when its process is gone without a
        word.
        """
        status = read_json(self.sweep.status_path, {})
        state = status.get("state", "created")
        if state == "running" and process_started_at(status["pid"]) != status.get("pid_started_at"):
            return "lost"
        return state

    @property
    def keys(self) -> list[str]:
        """Of the space, in its order."""
        return list(self.plan["space"])

    def counts(self) -> Counter[str]:
        return Counter(trial.state for trial in self.trials)

    def of(self, *states: str) -> list[TrialRecord]:
        return [trial for trial in self.trials if trial.state in states]

    def ranked(self) -> list[TrialRecord]:
        """Complete trials, the best by the first objective first; the earlier wins a draw.

        Of several objectives those come first that no other trial beats in all.
        """
        sign = 1 if self.lower_is_better[0] else -1
        front = set() if len(self.metrics) == 1 else {trial.number for trial in self.front()}
        complete = self.of("complete")
        return sorted(complete, key=lambda t: (t.number not in front, sign * t.value(), t.number))

    def best(self) -> TrialRecord | None:
        return next(iter(self.ranked()), None)

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, for programs."""
        best = self.best()
        return {
            "name": self.sweep.name,
            "path": str(self.sweep.path),
            "state": self.state,
            "total": self.total,
            "objectives": dict(self.plan["objectives"]),
            "best": None if best is None else best.number,
            "trials": [trial.as_dict() for trial in self.trials],
        }

    def front(self) -> list[TrialRecord]:
        """Complete trials that no other beats in all objectives; with one objective, the best."""
        if len(self.metrics) == 1:
            return self.ranked()[:1]
        from runner.plots.pareto import pareto_mask

        sign = 1 if self.lower_is_better[0] else -1
        complete = sorted(self.of("complete"), key=lambda trial: (sign * trial.value(), trial.number))
        mask = pareto_mask([trial.values for trial in complete], self.lower_is_better)
        return [trial for trial, is_on_front in zip(complete, mask, strict=True) if is_on_front]


def read_record(sweep: SweepDir) -> SweepRecord:
    """
    Raises:
        UserError: the storage of the study cannot be reached.
    """
    plan = read_plan(sweep)
    modes = plan["objectives"]
    record = SweepRecord(sweep, plan, list(modes), [mode == "min" for mode in modes.values()])
    if not plan["settings"].get("storage") and not sweep.study_path.is_file():
        return record
    try:
        record.study = load_study(sweep)
    except RunNotFoundError:  # the sweep was ended before it had made one
        return record
    record.lower_is_better = [d == StudyDirection.MINIMIZE for d in record.study.directions]
    found = [trial for trial in record.study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    record.trials = [record_of(sweep, trial, len(modes)) for trial in found]
    return record


def record_of(sweep: SweepDir, trial: FrozenTrial, num_objectives: int) -> TrialRecord:
    notes = trial.user_attrs
    state = STATES.get(trial.state, "running")
    values = tuple(trial.values) if state == "complete" and trial.values else None
    began, ended = (
        None if at is None else at.timestamp() for at in (trial.datetime_start, trial.datetime_complete)
    )
    seconds = notes.get("seconds")
    if seconds is None and began is not None:
        seconds = max((ended or time.time()) - began, 0.0)
    return TrialRecord(
        number=trial.number,
        state=state,
        values=values,
        params=dict(trial.params),
        given=list(notes.get("overrides") or []),
        distributions=dict(trial.distributions),
        intermediate_values=dict(trial.intermediate_values) if num_objectives == 1 else {},
        began_at=began,
        ended_at=ended,
        seconds=seconds,
        attempts=attempts_of(notes.get("attempts"), began, ended, state),
        reason=notes.get("reason"),
        origin=notes.get("origin"),
        run=sweep.trial(trial.number),
    )


def attempts_of(noted: Any, began: float | None, ended: float | None, state: str) -> tuple[Attempt, ...]:
    """As they were noted; of a trial that was ended before it was begun there are none."""
    if not isinstance(noted, list):
        return () if began is None else (Attempt("", began, ended, state),)
    return tuple(
        Attempt(str(one.get("worker") or ""), one["start"], one.get("end"), one.get("outcome") or "running")
        for one in noted
        if one.get("start") is not None
    )


def choices_of(distribution: BaseDistribution) -> list[str] | None:
    """The choices of a categorical parameter as they are written; None for a range."""
    if isinstance(distribution, CategoricalDistribution):
        return [shown(choice) for choice in distribution.choices]
    return None


def shown(value: Any) -> str:
    """As an override spells it; numbers in six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
