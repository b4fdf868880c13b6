"""The interface of executors, and the choice of one by the config's launcher."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from runner.config.checks.folds import of_all_folds
from runner.sweep.directory import SweepDir
from runner.sweep.executors.pool import Pool
from runner.sweep.running_trial import Attempt, Event

__all__ = ["Executor", "make_executor"]


class Executor(Protocol):
    """Starts workers on run directories and reports their events. No method waits for a trial.

    An executor whose workers are not children of this process starts ``python -m
    runner.sweep.executors.rank_worker RUN`` and receives the messages through a `Mailbox`.
    """

    def start(self, attempt: Attempt) -> None:
        """Start an attempt. Every failure is reported by its ``ended`` event, exactly one per start."""

    def answer(self, trial: int, prune: bool) -> None:
        """Answer a ``report``; called only if the attempt has ``prunes`` set."""

    def signal(self, trial: int, signum: int) -> None:
        """Signal a trial: SIGTERM to save its state and exit, SIGKILL to kill it and all its processes."""

    def wait(self, timeout_s: float) -> list[Event]:
        """Return the events since the last call, in order; an empty list after ``timeout_s`` seconds."""

    def close(self) -> None:
        """Kill all remaining attempts."""


def make_executor(sweep: SweepDir, config: dict[str, Any], varied: Iterable[str]) -> Executor:
    """Return the executor of the config's launcher.

    Args:
        sweep: the sweep's folder, for log files.
        config: the config that all trials share.
        varied: keys in which the trials differ.
    """
    kind = config["launcher"]["kind"]
    if kind == "ray":
        from runner.sweep.executors.ray import RayExecutor

        return RayExecutor(config)
    if kind == "slurm":
        from runner.sweep.executors.slurm import SlurmExecutor

        return SlurmExecutor(config)
    same_data = not of_all_folds(config) and not any(
        key.partition(".")[0] in ("data", "seed") for key in varied
    )
    return Pool(targets_of(config), sweep.logs / "server.log", config["data"] if same_data else None)


def targets_of(config: Any) -> list[str]:
    """Return the dotted names of all constructors in plain containers."""
    if isinstance(config, dict):
        own = [config["_target_"]] if "_target_" in config else []
        return own + [name for value in config.values() for name in targets_of(value)]
    return [name for value in config for name in targets_of(value)] if isinstance(config, list) else []
