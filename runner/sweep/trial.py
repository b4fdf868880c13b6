"""The run directory of a trial, and its outcome."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from runner.config.composition import Composition
from runner.config.plain import to_plain
from runner.config.trust import write_config
from runner.run.directory import REPEATS, RunDir
from runner.run.files import write_json
from runner.run.state import RunState
from runner.run.status import read_status, write_status
from runner.sweep.directory import SweepDir

__all__ = [
    "COSTS",
    "Outcome",
    "attempt_outcome",
    "close_status",
    "is_prepared",
    "mean_of",
    "objective_values",
    "prepare_trial",
    "result_outcome",
    "run_of",
    "run_outcome",
]


COSTS = ("num_parameters", "num_trainable", "seconds")
"""Entries of ``results.json`` that may be objectives besides the metrics."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a trial or of one of its attempts.

    Attributes:
        state: ``lost`` if the process was killed; the trial can then resume from its last checkpoint.
        values: values of the objectives in their order; empty unless the state is ``complete``.
        reason: why it did not complete.
    """

    state: Literal["complete", "pruned", "failed", "lost"]
    values: tuple[float, ...] = ()
    reason: str | None = None

    @property
    def value(self) -> float | None:
        """Value of the first objective."""
        return self.values[0] if self.values else None


def run_of(sweep: SweepDir, number: int, repeat: int = 0) -> RunDir:
    """Return a run of a trial. Further runs of a trial of several seeds lie in the directory of the first."""
    first = sweep.trial(number)
    return RunDir(first.path / REPEATS / str(repeat)) if repeat else first


def is_prepared(run: RunDir) -> bool:
    """Return whether the directory was written completely."""
    return run.config_path.is_file()


def prepare_trial(
    run: RunDir, composition: Composition, provenance: dict[str, Any], command: list[str]
) -> None:
    """Write the directory of a trial.

    The config is written last, so that an interrupted call can be repeated safely.

    Args:
        run: the directory.
        composition: the composed config of the trial.
        provenance: provenance of the sweep, collected once for all trials.
        command: a command that trains the same run.
    """
    for folder in (run.checkpoints, run.plots, run.logs):
        folder.mkdir(parents=True, exist_ok=True)
    created = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    own = {"command": command, "created_at": created, "choices": composition.choices}
    write_json(run.provenance_path, provenance | own)
    write_status(run, state="created")
    write_config(run.path, to_plain(composition.config, []))


def attempt_outcome(
    run: RunDir, exit_code: int, objectives: Iterable[str], reason: str | None = None
) -> Outcome:
    """Return the outcome of an attempt that has ended.

    Args:
        run: the run that was executed.
        exit_code: its exit code, or the negative number of the signal that killed it.
        objectives: names of the objectives.
        reason: the reason given by a scheduler, if any.
    """
    state = RunState(run)
    outcome = result_outcome(state, objectives)
    if outcome is not None:
        return outcome
    if exit_code < 0:
        return Outcome("lost", reason=reason or f"killed by {signal_name(-exit_code)}")
    status = state.status
    if status.state == "failed":
        return Outcome("failed", reason=status.reason)
    if status.state == "interrupted":
        return Outcome("lost", reason=status.reason)
    return Outcome("failed", reason=status.reason or reason or f"its process ended with code {exit_code}")


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def result_outcome(state: RunState, objectives: Iterable[str]) -> Outcome | None:
    """Return the outcome of a run that has finished or was pruned; None for any other."""
    if state.status.state == "pruned":
        return Outcome("pruned", reason=state.status.reason)
    if not state.is_finished:
        return None
    measured = objective_values(state.results)
    values = []
    for name in objectives:
        value = measured.get(name)
        if value is None:
            return Outcome(
                "failed", reason=f"{name} was not measured; measured: {', '.join(measured) or 'nothing'}"
            )
        if not math.isfinite(value):
            return Outcome("failed", reason=f"{name} is {value}")
        values.append(float(value))
    return Outcome("complete", tuple(values))


def run_outcome(run: RunDir, objectives: Iterable[str]) -> Outcome | None:
    """Return the outcome of a run that has ended, perhaps under an earlier sweep; None for any other."""
    state = RunState(run)
    if state.status.state == "failed":
        return Outcome("failed", reason=state.status.reason)
    return result_outcome(state, objectives)


def mean_of(measured: Sequence[tuple[float, ...]]) -> Outcome:
    """Return the outcome of a trial of several runs: the mean of each objective."""
    return Outcome("complete", tuple(sum(values) / len(values) for values in zip(*measured, strict=True)))


def objective_values(results: dict[str, Any]) -> dict[str, float]:
    """Return the possible objectives: validation metrics of the best checkpoint, size and duration.

    Args:
        results: the content of ``results.json``.
    """
    values = dict(results.get("val") or {})
    best = results.get("best") or {}
    if best.get("value") is not None:  # as measured during training
        values[best["monitor"]] = best["value"]
    return values | {name: results[name] for name in COSTS if name in results}


def close_status(run: RunDir, outcome: Outcome) -> None:
    """Record in the run's status that it failed, if its process was killed before it could do so."""
    if outcome.state in ("failed", "lost") and read_status(run).state in ("created", "running", "lost"):
        write_status(run, state="failed", reason=outcome.reason)
