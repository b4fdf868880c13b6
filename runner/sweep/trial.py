"""A trial's directory, and what to make of the way it ended."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from runner.config.composition import Composition
from runner.config.plain import to_plain, to_yaml
from runner.run.directory import RunDir
from runner.run.files import read_json, write_json, write_text
from runner.run.status import read_status, write_status
from runner.sweep.directory import SweepDir

__all__ = [
    "COSTS",
    "Outcome",
    "close_status",
    "end_of",
    "is_prepared",
    "judge",
    "mean_of",
    "prepare_trial",
    "result_of",
    "run_of",
]


COSTS = ("num_parameters", "num_trainable", "seconds")
"""What ``results.json`` says besides metrics."""


@dataclass(frozen=True)
class Outcome:
    """
    Attributes:
        state: ``lost`` is a process that was killed: the trial can go on from its last checkpoint.
        values: of the objectives, in their order; empty where it did not complete.
    """

    state: Literal["complete", "pruned", "failed", "lost"]
    values: tuple[float, ...] = ()
    reason: str | None = None

    @property
    def value(self) -> float | None:
        """Of the first objective."""
        return self.values[0] if self.values else None


def run_of(sweep: SweepDir, number: int, repeat: int = 0) -> RunDir:
    """The run of a trial; the others of a trial of several seeds lie in the first one's directory."""
    first = sweep.trial(number)
    return RunDir(first.path / "repeats" / str(repeat)) if repeat else first


def is_prepared(run: RunDir) -> bool:
    return run.config_path.is_file()


def prepare_trial(
    run: RunDir, composition: Composition, provenance: dict[str, Any], command: list[str]
) -> None:
    """Writes the directory of a trial; once the config stands in it, it is whole. Written twice, it is the
    same.

    Args:
        provenance: of the sweep; looked up once for all trials.
    """
    for folder in (run.checkpoints, run.plots, run.logs):
        folder.mkdir(parents=True, exist_ok=True)
    created = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    own = {"command": command, "created_at": created, "choices": composition.choices}
    write_json(run.provenance_path, provenance | own)
    write_status(run, state="created")
    write_text(run.config_path, to_yaml(to_plain(composition.config, [])), durable=True)


def judge(run: RunDir, status: int, objectives: Iterable[str], why: str | None = None) -> Outcome:
    """What came of an attempt.

    Args:
        status: its exit code; negative is the signal that killed it.
        why: what a scheduler says of that.
    """
    found = read_status(run)
    ended = result_of(run, objectives)
    if ended is not None:
        return ended
    if status < 0:
        return Outcome("lost", reason=why or f"killed by {signal_name(-status)}")
    if found.state == "failed":
        return Outcome("failed", reason=found.reason)
    if found.state == "interrupted":
        return Outcome("lost", reason=found.reason)
    return Outcome("failed", reason=found.reason or why or f"its process ended with code {status}")


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def result_of(run: RunDir, objectives: Iterable[str]) -> Outcome | None:
    """The outcome of a run that has finished or was pruned; None of any other."""
    found = read_status(run)
    if found.state == "pruned":
        return Outcome("pruned", reason=found.reason)
    if found.state != "finished":
        return None
    known = measured(read_json(run.results_path, {}))
    values = []
    for name in objectives:
        value = known.get(name)
        if value is None:
            return Outcome(
                "failed", reason=f"{name} was not measured; there are: {', '.join(known) or 'none'}"
            )
        if not math.isfinite(value):
            return Outcome("failed", reason=f"{name} is {value}")
        values.append(float(value))
    return Outcome("complete", tuple(values))


def end_of(run: RunDir, objectives: Iterable[str]) -> Outcome | None:
    """The outcome of a run that came to an end of any kind before the sweep that watched it could tell."""
    found = read_status(run)
    if found.state == "failed":
        return Outcome("failed", reason=found.reason)
    return result_of(run, objectives)


def mean_of(measured: Sequence[tuple[float, ...]]) -> Outcome:
    """Of several runs, each objective's mean."""
    return Outcome("complete", tuple(sum(values) / len(values) for values in zip(*measured, strict=True)))


def measured(results: dict[str, Any]) -> dict[str, float]:
    """What a sweep may search by: metrics of the best checkpoint on val, and what the run took."""
    found = dict(results.get("val") or {})
    best = results.get("best") or {}
    if best.get("value") is not None:  # as the training itself measured it
        found[best["monitor"]] = best["value"]
    return found | {name: results[name] for name in COSTS if name in results}


def close_status(run: RunDir, outcome: Outcome) -> None:
    """Says in the run's own status what the sweep knows better than its process, which was killed."""
    if outcome.state in ("failed", "lost") and read_status(run).state in ("created", "running", "lost"):
        write_status(run, state="failed", reason=outcome.reason)
