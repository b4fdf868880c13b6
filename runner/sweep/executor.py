"""What carries out the attempts of a sweep: the pool of this machine, or a cluster."""

from __future__ import annotations

from typing import Protocol

from runner.sweep.attempt import Attempt, Event

__all__ = ["Executor"]


class Executor(Protocol):
    """Starts workers on run directories and tells what is heard of them. Nothing here waits for a trial.

    Where the worker is not a child of this process, ``python -m runner.sweep.worker RUN`` is what to start, and a
    ``Mailbox`` how to receive its messages.
    """

    def start(self, attempt: Attempt) -> None:
        """Starts an attempt. Every failure is reported by its ``ended`` event, exactly one per start."""

    def answer(self, trial: int, prune: bool) -> None:
        """Answers a ``report``; only asked for where the attempt ``prunes``."""

    def signal(self, trial: int, signum: int) -> None:
        """SIGTERM asks the trial to save its state and leave; SIGKILL ends it at once, with all it has started."""

    def wait(self, timeout_s: float) -> list[Event]:
        """What has come since, in the order of its coming; after ``timeout_s`` at the latest, with nothing."""

    def close(self) -> None:
        """Ends all remaining attempts at once."""
