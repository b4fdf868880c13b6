"""A summary of a sweep, read from its folder and its study."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
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

__all__ = ["AttemptRecord", "SweepRecord", "TrialRecord", "as_text", "choices_of", "read_record"]

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class AttemptRecord:
    """One attempt of a worker at a trial.

    Attributes:
        worker: ``HOST:PID/SLOT``.
        start: seconds since the Unix epoch.
        end: likewise; None while the attempt runs.
        outcome: complete, pruned, failed, lost, or running.
    """

    worker: str
    start: float
    end: float | None
    outcome: str


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a study.

    Attributes:
        number: number in the study.
        state: complete, pruned, failed or running.
        values: values of the objectives; None unless the trial is complete.
        params: values by key of the space; only the parameters that the trial has.
        given: the same as overrides; empty before the trial's directory was created.
        distributions: distributions of the parameters.
        intermediate_values: epoch, counted from 1 → reported value; for a trial of several seeds, number of
            seeds → mean.
        began_at: start in seconds since the Unix epoch; None before it.
        ended_at: end, likewise.
        seconds: duration of all attempts.
        attempts: the attempts in order.
        reason: why it was pruned or failed.
        origin: ``default``, ``given`` or ``grid``; None if the sampler chose the point.
        run: its run directory.
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
    attempts: tuple[AttemptRecord, ...]
    reason: str | None
    origin: str | None
    run: RunDir

    def overrides(self) -> list[str]:
        """Return ``key=value`` for each parameter, with numbers in six digits."""
        return [f"{key}={as_text(value)}" for key, value in self.params.items()]

    def as_dict(self) -> dict[str, Any]:
        """Return the trial in plain containers."""
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
        values = {name: getattr(self, name) for name in names}
        attempts = [vars(attempt) for attempt in self.attempts]
        return values | {"attempts": attempts, "path": str(self.run.path)}

    def value(self, objective: int = 0) -> float:
        """Return the value of one objective.

        For a pruned or running trial this is the last reported value of the first objective; otherwise NaN.
        """
        if self.values is not None:
            return self.values[objective]
        if objective == 0 and self.intermediate_values and self.state in ("pruned", "running"):
            return self.intermediate_values[max(self.intermediate_values)]
        return math.nan


@dataclass
class SweepRecord:
    """One sweep and its trials.

    Attributes:
        sweep: the sweep's folder.
        plan: the content of ``sweep.yaml``.
        metrics: names of the objectives.
        lower_is_better: for each objective, whether it is minimized.
        study: the study; None before it was created.
        trials: the trials that have started.
    """

    sweep: SweepDir
    plan: dict[str, Any]
    metrics: list[str]
    lower_is_better: list[bool]
    study: Study | None = None
    trials: list[TrialRecord] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, Any]:
        """The ``sweep`` node of the config."""
        settings: dict[str, Any] = self.plan["settings"]
        return settings

    @cached_property
    def status(self) -> dict[str, Any]:
        """The content of ``status.json``, read once."""
        status: dict[str, Any] = read_json(self.sweep.status_path, {})
        return status

    @property
    def total(self) -> int:
        """Number of trials that the sweep runs."""
        return int(self.status.get("total") or self.settings["num_trials"])

    @property
    def state(self) -> str:
        """``created``, ``running``, ``finished``, ``failed``, ``interrupted``, or ``lost`` after a kill."""
        state: str = self.status.get("state", "created")
        is_running = state == "running"
        if is_running and process_started_at(self.status["pid"]) != self.status.get("pid_started_at"):
            return "lost"
        return state

    @property
    def keys(self) -> list[str]:
        """Keys of the space, in its order."""
        return list(self.plan["space"])

    def counts(self) -> Counter[str]:
        """Return the number of trials by state."""
        return Counter(trial.state for trial in self.trials)

    def of(self, *states: str) -> list[TrialRecord]:
        """Return the trials in any of the states."""
        return [trial for trial in self.trials if trial.state in states]

    def ranked(self) -> list[TrialRecord]:
        """Return the complete trials, best by the first objective first; of equal trials the earlier first.

        With several objectives, the trials of the Pareto front come first.
        """
        sign = 1 if self.lower_is_better[0] else -1
        front = set() if len(self.metrics) == 1 else {trial.number for trial in self.front()}
        complete = self.of("complete")
        return sorted(complete, key=lambda t: (t.number not in front, sign * t.value(), t.number))

    def best(self) -> TrialRecord | None:
        """Return the best complete trial, if any."""
        return next(iter(self.ranked()), None)

    def as_dict(self) -> dict[str, Any]:
        """Return the sweep in plain containers."""
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
        """Return the Pareto front of the complete trials; with one objective, the best trial."""
        if len(self.metrics) == 1:
            return self.ranked()[:1]
        from runner.plots.pareto import pareto_mask

        sign = 1 if self.lower_is_better[0] else -1
        complete = sorted(self.of("complete"), key=lambda trial: (sign * trial.value(), trial.number))
        values = np.array([trial.values for trial in complete], dtype=float).reshape(-1, len(self.metrics))
        mask = pareto_mask(values, self.lower_is_better)
        return [trial for trial, is_on_front in zip(complete, mask, strict=True) if is_on_front]


def read_record(sweep: SweepDir) -> SweepRecord:
    """Read a sweep from its folder and its study.

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
    except RunNotFoundError:  # the sweep was ended before it had created its study
        return record
    record.lower_is_better = [d == StudyDirection.MINIMIZE for d in record.study.directions]
    trials = [trial for trial in record.study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
    record.trials = [record_of(sweep, trial, len(modes)) for trial in trials]
    return record


def record_of(sweep: SweepDir, trial: FrozenTrial, num_objectives: int) -> TrialRecord:
    attributes = trial.user_attrs
    state = STATES.get(trial.state, "running")
    values = tuple(trial.values) if state == "complete" and trial.values else None
    started_at, ended_at = (
        None if at is None else at.timestamp() for at in (trial.datetime_start, trial.datetime_complete)
    )
    seconds = attributes.get("seconds")
    if seconds is None and started_at is not None:
        seconds = max((ended_at or time.time()) - started_at, 0.0)
    return TrialRecord(
        number=trial.number,
        state=state,
        values=values,
        params=dict(trial.params),
        given=list(attributes.get("overrides") or []),
        distributions=dict(trial.distributions),
        intermediate_values=dict(trial.intermediate_values) if num_objectives == 1 else {},
        began_at=started_at,
        ended_at=ended_at,
        seconds=seconds,
        attempts=attempts_of(attributes.get("attempts"), started_at, ended_at, state),
        reason=attributes.get("reason"),
        origin=attributes.get("origin"),
        run=sweep.trial(trial.number),
    )


def attempts_of(
    stored: Any, started_at: float | None, ended_at: float | None, state: str
) -> tuple[AttemptRecord, ...]:
    """Return the stored attempts, or a single one if none were stored; none for a trial never started."""
    if not isinstance(stored, list):
        return () if started_at is None else (AttemptRecord("", started_at, ended_at, state),)
    return tuple(
        AttemptRecord(
            str(attempt.get("worker") or ""),
            attempt["start"],
            attempt.get("end"),
            attempt.get("outcome") or "running",
        )
        for attempt in stored
        if attempt.get("start") is not None
    )


def choices_of(distribution: BaseDistribution) -> list[str] | None:
    """Return the choices of a categorical parameter as text; None for a range."""
    if isinstance(distribution, CategoricalDistribution):
        return [as_text(choice) for choice in distribution.choices]
    return None


def as_text(value: Any) -> str:
    """Return a value as spelled in an override, with numbers in six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)
