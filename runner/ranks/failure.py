"""Why a rank ended, in a file beside its log: of several that fall together, one fell first."""

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
    """
    Attributes:
        kind: ``mistake`` and ``final`` would happen again, an ``error`` perhaps not; ``hung`` and ``killed`` were seen
            from outside; ``time`` is a job's end that is near; a rank that is ``left`` only lost the others.
        message: one paragraph.
        stack: where the rank was; empty when nobody knows.
    """

    rank: int
    kind: str
    message: str
    exit_code: int = 1
    step: int = 0
    stack: str = ""
    time: float = field(default_factory=time.time)


ORDER = ("mistake", "final", "time", "hung", "killed", "error", "left")
"""Which kind explains the others."""


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
    """The one to tell of."""
    return min(failures, key=lambda failure: (ORDER.index(failure.kind), failure.time), default=None)
