"""Records why a rank ended, in a file next to its log, to identify the first of several failing ranks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from runner.run.directory import RunDir
from runner.run.files import read_json, write_json

__all__ = ["Failure", "clear_failures", "first_failure", "read_failures", "write_failure"]


@dataclass(frozen=True)
class Failure:
    """The end of one rank.

    Attributes:
        rank: the rank.
        kind: ``mistake`` (of the user) and ``final`` are not retried, ``error`` may be; ``hung`` and
            ``killed`` were observed by other processes; ``time``: the time limit of the job is near;
            ``left``: this rank only lost its connection to the others.
        message: one paragraph.
        exit_code: exit code of the process.
        step: number of the step.
        stack: stack of the rank; empty if unknown.
        time: Unix time in seconds.
    """

    rank: int
    kind: str
    message: str
    exit_code: int = 1
    step: int = 0
    stack: str = ""
    time: float = field(default_factory=time.time)


ORDER = ("mistake", "final", "time", "hung", "killed", "error", "left")
"""Kinds of failure, the root cause first."""


def failure_path(run: RunDir, rank: int) -> Path:
    """Return the file with the failure of a rank."""
    return run.logs / f"rank{rank}.failure.json"


def write_failure(run: RunDir, failure: Failure) -> None:
    """Write the failure of a rank."""
    write_json(failure_path(run, failure.rank), asdict(failure))


def clear_failures(run: RunDir) -> None:
    """Delete the failures of all ranks."""
    for path in run.logs.glob("rank*.failure.json"):
        path.unlink(missing_ok=True)


def read_failures(run: RunDir) -> Iterator[Failure]:
    """Yield the failures of all ranks."""
    known = {entry.name for entry in fields(Failure)}
    for path in sorted(run.logs.glob("rank*.failure.json")):
        stored = read_json(path, {})
        yield Failure(**{key: value for key, value in stored.items() if key in known})


def first_failure(failures: list[Failure]) -> Failure | None:
    """Return the failure that explains the others; None if the list is empty."""
    return min(failures, key=lambda failure: (ORDER.index(failure.kind), failure.time), default=None)
