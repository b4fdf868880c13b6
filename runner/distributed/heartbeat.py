"""Heartbeat of a rank: its progress, updated by callbacks and written to a file every second."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar

from runner.distributed.process_info import ProcessInfo
from runner.run.directory import RunDir
from runner.run.files import read_json, write_json
from runner.run.status import process_started_at

__all__ = ["PHASES", "Heartbeat", "heartbeat_path", "read_heartbeats", "stack_path"]

PHASES = (
    "idle",
    "fetching a batch",
    "forward pass",
    "backward pass",
    "update",
    "evaluating",
    "computing metrics",
    "saving",
)
"""Phases of a step, in order; ``idle`` is everything outside the loops, such as reading data."""


@dataclass
class Heartbeat:
    """The progress of one rank.

    Attributes:
        rank: the rank.
        restart: number of restarts by the elastic agent.
        pid: process id.
        pid_started_at: start time of the process, which distinguishes it from a later process with the same
            id.
        host: name of the machine.
        step: number of optimizer updates.
        epoch: number of the epoch.
        count: number of batches started in training and evaluation.
        phase: one of ``PHASES``.
        since: Unix time of the last change of count or phase.
        longest_s: longest duration of a phase so far, in seconds.
    """

    rank: int = 0
    restart: int = 0
    pid: int = 0
    pid_started_at: float | None = None
    host: str = ""
    step: int = 0
    epoch: int = 0
    count: int = 0
    phase: str = "idle"
    since: float = 0.0
    longest_s: float = 0.0
    _changed_at: ClassVar[float | None] = None  # shadowed by instances; not a field of the stored heartbeat

    @classmethod
    def of(cls, process_info: ProcessInfo) -> Heartbeat:
        """Create the heartbeat of this process."""
        pid = os.getpid()
        return cls(
            process_info.rank,
            process_info.restart,
            pid,
            process_started_at(pid),
            socket.gethostname(),
            since=time.time(),
        )

    @property
    def is_left_over(self) -> bool:
        """Whether its process ran on this machine and has ended, such as one of an earlier attempt."""
        return self.host == socket.gethostname() and process_started_at(self.pid) != self.pid_started_at

    def beat(self, phase: str, begins_batch: bool = False) -> None:
        """Record the start of a phase.

        Args:
            phase: one of ``PHASES``.
            begins_batch: whether a batch starts with it.
        """
        now = time.monotonic()  # for durations: the wall clock may be changed
        if self.phase != "idle" and self.count > 1 and self._changed_at is not None:
            self.longest_s = max(self.longest_s, now - self._changed_at)
        self.count += begins_batch
        self._changed_at = now  # type: ignore[misc]  # see the class attribute
        self.phase, self.since = phase, time.time()

    @property
    def progress(self) -> tuple[int, int]:
        """Key that orders ranks by progress; the rank that all others wait for has the smallest."""
        return self.count, PHASES.index(self.phase)

    def write(self, run: RunDir) -> None:
        """Write the heartbeat to its file."""
        write_json(heartbeat_path(run, self.rank), asdict(self))


def heartbeat_path(run: RunDir, rank: int) -> Path:
    """Return the file with the heartbeat of a rank."""
    return run.logs / f"rank{rank}.pulse.json"


def stack_path(run: RunDir, rank: int) -> Path:
    """Return the file for the stacks of a rank's threads, written when it crashes or receives SIGUSR2."""
    return run.logs / f"rank{rank}.stack"


def read_heartbeats(run: RunDir, restart: int | None = None) -> Iterator[Heartbeat]:
    """Yield the last heartbeat of every rank.

    Args:
        run: run directory.
        restart: only yield the ranks of this restart; None for all.
    """
    known = {field.name for field in fields(Heartbeat)}
    for path in sorted(run.logs.glob("rank*.pulse.json")):
        stored = read_json(path, {})
        heartbeat = Heartbeat(**{key: value for key, value in stored.items() if key in known})
        if restart is None or heartbeat.restart == restart:
            yield heartbeat
