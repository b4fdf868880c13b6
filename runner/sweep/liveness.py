"""Which of the processes that are at a sweep are still there, also on other machines."""

from __future__ import annotations

import os
import socket
import time

import optuna

from runner.run.status import process_started_at

__all__ = ["Liveness"]

BEAT_EVERY_S = 15.0
GONE_AFTER_S = 90.0
"""A process on another machine that has given no sign for so long counts as gone."""


def own_name() -> str:
    """``HOST:PID:START``; the start, in clock ticks since boot, tells it from a later process of that
    number.
    """
    return name_of(os.getpid())


def name_of(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{process_started_at(pid) or 0:.0f}"


class Liveness:
    """This process among those at a study.

    On one machine the kernel knows who is there. From others each leaves a count in the study that grows;
    their clocks need not agree.

    Attributes:
        me: what this process is called as an ``owner``.
    """

    def __init__(self, study: optuna.Study) -> None:
        self.me = own_name()
        self._study = study
        self._count, self._beat_at = 0, float("-inf")
        self._seen: dict[str, tuple[int, float]] = {}

    @property
    def host(self) -> str:
        return self.me.split(":")[0]

    @property
    def place(self) -> str:
        """``HOST:PID``, for people."""
        return self.me.rpartition(":")[0]

    def beat(self) -> None:
        """To be called again and again; writes seldom."""
        now = time.monotonic()
        if now - self._beat_at >= BEAT_EVERY_S:
            self._beat_at, self._count = now, self._count + 1
            self._study.set_user_attr(f"presence:{self.me}", self._count)

    def is_gone(self, owner: str | None) -> bool:
        """Whether the process ``owner`` has ended."""
        if not owner:
            return True
        if owner == self.me:
            return False
        host, pid, _start = owner.rsplit(":", 2)
        if host == self.host:
            return name_of(int(pid)) != owner
        now = time.monotonic()
        count = self._study.user_attrs.get(f"presence:{owner}", 0)
        if owner not in self._seen or self._seen[owner][0] != count:
            self._seen[owner] = (count, now)
        return now - self._seen[owner][1] > GONE_AFTER_S
