"""Detects whether the processes that work on a sweep are alive, also on other machines."""

from __future__ import annotations

import os
import socket
import time

import optuna

from runner.run.status import process_started_at

__all__ = ["Liveness"]

HEARTBEAT_INTERVAL_S = 15.0
DEAD_AFTER_S = 90.0
"""Seconds without a heartbeat after which a process on another machine counts as dead."""


def owner_name(pid: int) -> str:
    """Return ``HOST:PID:START``.

    The start, in clock ticks since boot, distinguishes a process from a later one with the same id.
    """
    return f"{socket.gethostname()}:{pid}:{process_started_at(pid) or 0:.0f}"


class Liveness:
    """Heartbeat of this process in a study, and the liveness of the other processes.

    Processes on the same machine are looked up in the kernel. Each process on another machine increments a
    counter in the study, so that clocks need not agree.

    Attributes:
        owner: name of this process as the owner of trials.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.owner = owner_name(os.getpid())
        self._study = study
        self._count, self._beat_at = 0, float("-inf")
        self._seen: dict[str, tuple[int, float]] = {}

    @property
    def host(self) -> str:
        """This machine's name."""
        return self.owner.split(":")[0]

    @property
    def label(self) -> str:
        """``HOST:PID``, as shown to users."""
        return self.owner.rpartition(":")[0]

    def beat(self) -> None:
        """Write a heartbeat if the last one is old enough; cheap to call often."""
        now = time.monotonic()
        if now - self._beat_at >= HEARTBEAT_INTERVAL_S:
            self._beat_at, self._count = now, self._count + 1
            self._study.set_user_attr(f"presence:{self.owner}", self._count)

    def is_dead(self, owner: str | None) -> bool:
        """Return whether the process ``owner`` has ended; true for no owner."""
        if not owner:
            return True
        if owner == self.owner:
            return False
        host, pid, _start = owner.rsplit(":", 2)
        if host == self.host:
            return owner_name(int(pid)) != owner
        now = time.monotonic()
        count = self._study.user_attrs.get(f"presence:{owner}", 0)
        if owner not in self._seen or self._seen[owner][0] != count:
            self._seen[owner] = (count, now)
        return now - self._seen[owner][1] > DEAD_AFTER_S
