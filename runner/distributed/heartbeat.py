"""A rank's heartbeat: its progress, updated by callbacks, written beside its log once a second, read by other
ranks.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

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
"""The phases of a step, in order. ``idle`` means outside the loops: reading data, drawing figures."""


@dataclass
class Heartbeat:
    """The progress of one rank.

    Attributes:
        pid_started_at: start time of the process, which distinguishes it from a later process with the same
            id.
        count: batches started, of training and evaluation.
        phase: one of ``PHASES``.
        since: when count or phase last changed, in seconds since the epoch.
        longest_s: the longest duration of a phase so far, in seconds.
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
    _changed_at = None

    @classmethod
    def of(cls, process_info: ProcessInfo) -> Heartbeat:
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
        """Whether its process ran on this machine and has ended, for example in an earlier attempt."""
        return self.host == socket.gethostname() and process_started_at(self.pid) != self.pid_started_at

    def beat(self, phase: str, begins_batch: bool = False) -> None:
        now = time.monotonic()  # a duration: the wall clock, which other machines read, may be set
        if self.phase != "idle" and self.count > 1 and self._changed_at is not None:
            self.longest_s = max(self.longest_s, now - self._changed_at)
        self.count += begins_batch
        self._changed_at = now
        self.phase, self.since = phase, time.time()

    @property
    def place_in_step(self) -> tuple[int, int]:
        """Orders ranks by progress. If all ranks wait for one, that rank has the smallest value."""
        return self.count, PHASES.index(self.phase)

    def write(self, run: RunDir) -> None:
        write_json(heartbeat_path(run, self.rank), asdict(self))


def heartbeat_path(run: RunDir, rank: int) -> Path:
    return run.logs / f"rank{rank}.pulse.json"


def stack_path(run: RunDir, rank: int) -> Path:
    """The file that receives the stacks of a rank's threads when it crashes or gets SIGUSR2."""
    return run.logs / f"rank{rank}.stack"


def read_heartbeats(run: RunDir, restart: int | None = None) -> Iterator[Heartbeat]:
    """The last heartbeat of every rank; with ``restart``, only of the ranks of that restart."""
    known = {field.name for field in fields(Heartbeat)}
    for path in sorted(run.logs.glob("rank*.pulse.json")):
        stored = read_json(path, {})
        heartbeat = Heartbeat(**{key: value for key, value in stored.items() if key in known})
        if restart is None or heartbeat.restart == restart:
            yield heartbeat
