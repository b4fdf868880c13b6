"""Base of the executors of clusters, whose trials send their messages through their run directories."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.config.schema import Launcher
from runner.errors import ConfigError, Problem
from runner.launch.node_rendezvous import num_nodes
from runner.sweep.executors.file_channel import Mailbox
from runner.sweep.running_trial import Attempt, Event

__all__ = ["ClusterExecutor", "End"]

POLL_INTERVAL_S = 0.1


@dataclass(frozen=True)
class End:
    """The end of a job.

    Attributes:
        status: the exit code, or the negative number of a signal.
        reason: the reason given by the scheduler, if any.
    """

    status: int
    reason: str | None = None


class ClusterExecutor(ABC):
    """An `Executor` whose attempts are jobs of a cluster.

    Args:
        config: the config that all trials share.

    Raises:
        ConfigError: a trial would need several machines.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        if num_nodes(config) > 1:
            text = f"hardware.num_nodes={num_nodes(config)}: a trial of a sweep runs on one machine."
            remedy = "Set hardware.devices to use several of its devices."
            raise ConfigError(Problem("hardware.num_nodes", text, "incompatible", remedy))
        self.config = config
        self.launcher = Launcher(**config["launcher"])
        self._mailboxes: dict[int, Mailbox] = {}
        self._jobs: dict[int, Any] = {}
        self._waiting: set[int] = set()

    @abstractmethod
    def submit(self, attempt: Attempt) -> Any:
        """Submit an attempt to the cluster and return its job."""

    @abstractmethod
    def location_of(self, job: Any) -> str | None:
        """Return the machine on which a job runs; None while it waits."""

    @abstractmethod
    def end_of(self, job: Any) -> End | None:
        """Return the end of a job; None while it has not ended."""

    @abstractmethod
    def send(self, job: Any, signum: int) -> None:
        """Send a signal to the trial's process; SIGKILL kills all processes of the job."""

    @abstractmethod
    def discard(self, job: Any) -> None:
        """End a job in any state, and release its resources."""

    def start(self, attempt: Attempt) -> None:
        """Submit an attempt; see `Executor`."""
        # Threads and devices of this machine do not apply to those of the cluster.
        attempt = replace(attempt, num_threads=self.launcher.cpus_per_worker, devices=(), environment={})
        self._mailboxes[attempt.trial] = Mailbox(attempt)
        self._jobs[attempt.trial] = self.submit(attempt)
        self._waiting.add(attempt.trial)

    def answer(self, trial: int, prune: bool) -> None:
        """Answer a ``report``; see `Executor`."""
        if trial in self._mailboxes:
            self._mailboxes[trial].answer(prune)

    def signal(self, trial: int, signum: int) -> None:
        """Signal a trial; see `Executor`."""
        if trial in self._jobs:
            self.send(self._jobs[trial], signum)

    def wait(self, timeout_s: float) -> list[Event]:
        """Return the events since the last call; see `Executor`."""
        until = time.monotonic() + timeout_s
        while True:
            events = [event for trial in list(self._jobs) for event in self._poll(trial)]
            if events or time.monotonic() >= until:
                return events
            time.sleep(POLL_INTERVAL_S)

    def _poll(self, trial: int) -> list[Event]:
        job, events = self._jobs[trial], []
        if trial in self._waiting and (location := self.location_of(job)) is not None:
            self._waiting.discard(trial)
            events.append(Event("started", trial, location=location))
        end = self.end_of(job)  # before the mailbox, so that the last messages of an ended job are read
        events += self._mailboxes[trial].events()
        if end is not None:
            events.append(Event("ended", trial, status=end.status, reason=end.reason))
            self._forget(trial)
        return events

    def _forget(self, trial: int) -> None:
        self.discard(self._jobs.pop(trial))
        self._mailboxes.pop(trial)
        self._waiting.discard(trial)

    def close(self) -> None:
        """End all remaining jobs."""
        for trial in list(self._jobs):
            self._forget(trial)
