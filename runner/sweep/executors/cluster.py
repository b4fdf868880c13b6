"""Attempts that a cluster carries out. What the trials have to say comes through their run directories."""

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
    """How a job ended: its exit code, or the negative number of a signal; and what the scheduler knows
    besides.
    """

    status: int
    reason: str | None = None


class ClusterExecutor(ABC):
    """
    Args:
        config: that all trials share.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        if num_nodes(config) > 1:
            text = f"hardware.num_nodes={num_nodes(config)}: a trial of a sweep stays on one machine."
            remedy = "Give hardware.devices for several devices of it."
            raise ConfigError(Problem("hardware.num_nodes", text, "incompatible", remedy))
        self.config = config
        self.launcher = Launcher(**config["launcher"])
        self._mail: dict[int, Mailbox] = {}
        self._jobs: dict[int, Any] = {}
        self._waiting: set[int] = set()

    @abstractmethod
    def submit(self, attempt: Attempt) -> Any:
        """Hands the attempt to the cluster and returns what stands for it there."""

    @abstractmethod
    def place_of(self, job: Any) -> str | None:
        """Where it runs; None while it waits."""

    @abstractmethod
    def end_of(self, job: Any) -> End | None:
        """How it has ended; None while it has not."""

    @abstractmethod
    def send(self, job: Any, signum: int) -> None:
        """Hands a signal on to the trial's process; SIGKILL ends all that belongs to it."""

    @abstractmethod
    def drop(self, job: Any) -> None:
        """Ends the job in any state, or releases what it has left behind."""

    def start(self, attempt: Attempt) -> None:
        # The threads and devices of this machine say nothing about those of the cluster.
        attempt = replace(attempt, num_threads=self.launcher.cpus_per_worker, devices=(), environment={})
        self._mail[attempt.trial] = Mailbox(attempt)
        self._jobs[attempt.trial] = self.submit(attempt)
        self._waiting.add(attempt.trial)

    def answer(self, trial: int, prune: bool) -> None:
        if trial in self._mail:
            self._mail[trial].answer(prune)

    def signal(self, trial: int, signum: int) -> None:
        if trial in self._jobs:
            self.send(self._jobs[trial], signum)

    def wait(self, timeout_s: float) -> list[Event]:
        until = time.monotonic() + timeout_s
        while True:
            events = [event for trial in list(self._jobs) for event in self._look(trial)]
            if events or time.monotonic() >= until:
                return events
            time.sleep(POLL_INTERVAL_S)

    def _look(self, trial: int) -> list[Event]:
        job, events = self._jobs[trial], []
        if trial in self._waiting and (place := self.place_of(job)) is not None:
            self._waiting.discard(trial)
            events.append(Event("started", trial, place=place))
        end = self.end_of(job)  # before the mail: what is written until then is read
        events += self._mail[trial].events()
        if end is not None:
            events.append(Event("ended", trial, status=end.status, reason=end.reason))
            self._forget(trial)
        return events

    def _forget(self, trial: int) -> None:
        self.drop(self._jobs.pop(trial))
        self._mail.pop(trial)
        self._waiting.discard(trial)

    def close(self) -> None:
        for trial in list(self._jobs):
            self._forget(trial)
