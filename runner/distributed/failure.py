"""Why a rank ended, in a file beside its log, so that the first of several failing ranks can be
identified.
"""

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
        kind: ``mistake`` and ``final`` are not worth a retry, an ``error`` may be; ``hung`` and ``killed``
            were observed from outside; ``time`` means that the job's time limit is near; ``left`` means that
            this rank only lost its connection to the others.
        message: one paragraph.
        stack: the stack of the rank; empty if unknown.
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
    return run.logs / f"rank{rank}.failure.json"


def write_failure(run: RunDir, failure: Failure) -> None:
    write_json(failure_path(run, failure.rank), asdict(failure))


def clear_failures(run: RunDir) -> None:
    for path in run.logs.glob("rank*.failure.json"):
        path.unlink(missing_ok=True)


def read_failures(run: RunDir) -> Iterator[Failure]:
    known = {entry.name for entry in fields(Failure)}
    for path in sorted(run.logs.glob("rank*.failure.json")):
        stored = read_json(path, {})
        yield Failure(**{key: value for key, value in stored.items() if key in known})


def first_failure(failures: list[Failure]) -> Failure | None:
    """The failure that explains the others; None if the list is empty."""
    return min(failures, key=lambda failure: (ORDER.index(failure.kind), failure.time), default=None)
