"""A trial's directory, and what to make of the way it ended."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Literal

from runner.config.composition import Composition
from runner.config.plain import to_plain, to_yaml
from runner.run.directory import RunDir
from runner.run.files import read_json, write_json, write_text
from runner.run.status import read_status, write_status

__all__ = ["Outcome", "close_status", "judge", "prepare_trial", "result_of"]


@dataclass(frozen=True)
class Outcome:
    """
    Attributes:
        state: ``lost`` is a process that was killed: the trial can go on from its last checkpoint.
        value: of the objective.
    """

    state: Literal["complete", "pruned", "failed", "lost"]
    value: float | None = None
    reason: str | None = None


def prepare_trial(
    run: RunDir, composition: Composition, provenance: dict[str, Any], command: list[str]
) -> None:
    """Writes the directory of a trial; once the config stands in it, it is whole. Written twice, it is the same.

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


def judge(run: RunDir, status: int, metric: str | None) -> Outcome:
    """What came of an attempt.

    Args:
        status: its exit code; negative is the signal that killed it.
    """
    found = read_status(run)
    if found.state in ("finished", "pruned"):
        return result_of(run, metric)
    if found.state == "failed":
        return Outcome("failed", reason=found.reason)
    if status < 0:
        return Outcome("lost", reason=f"killed by signal {-status}")
    if found.state == "interrupted":
        return Outcome("lost", reason=found.reason)
    return Outcome("failed", reason=found.reason or f"its process ended with code {status}")


def result_of(run: RunDir, metric: str | None) -> Outcome:
    """The outcome of a run that has finished or was pruned."""
    found = read_status(run)
    if found.state == "pruned":
        return Outcome("pruned", reason=found.reason)
    results = read_json(run.results_path, {})
    if metric is None:
        value, name = (results.get("best") or {}).get("value"), "the monitored metric"
    else:
        value, name = (results.get("val") or {}).get(metric), metric
    if value is None:
        known = ", ".join(results.get("val") or {}) or "none"
        return Outcome("failed", reason=f"{name} was not measured; there are: {known}")
    if not math.isfinite(value):
        return Outcome("failed", reason=f"{name} is {value}")
    return Outcome("complete", float(value))


def close_status(run: RunDir, outcome: Outcome) -> None:
    """Says in the run's own status what the sweep knows better than its process, which was killed."""
    if outcome.state in ("failed", "lost") and read_status(run).state in ("created", "running", "lost"):
        write_status(run, state="failed", reason=outcome.reason)
