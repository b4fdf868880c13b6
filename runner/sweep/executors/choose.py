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
    """Starts workers on run directories and tells what is heard of them. Nothing here waits for a trial.

    Where the worker is not a child of this process, ``python -m runner.sweep.executors.rank_worker RUN`` is
    what to start, and a ``Mailbox`` how to receive its messages.
    """

    def start(self, attempt: Attempt) -> None:
        """Starts an attempt. Every failure is reported by its ``ended`` event, exactly one per start."""

    def answer(self, trial: int, prune: bool) -> None:
        """Answers a ``report``; only asked for where the attempt ``prunes``."""

    def signal(self, trial: int, signum: int) -> None:
        """SIGTERM asks the trial to save its state and leave; SIGKILL ends it at once, with all it has
        started.
        """

    def wait(self, timeout_s: float) -> list[Event]:
        """What has come since, in the order of its coming; after ``timeout_s`` at the latest, with
        nothing.
        """

    def close(self) -> None:
        """Ends all remaining attempts at once."""


def make_executor(sweep: SweepDir, config: dict[str, Any], varied: Iterable[str]) -> Executor:
    """
    Args:
        config: that all trials share; they start where its ``launcher`` says.
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
    """Dotted names of all constructors in plain containers."""
    if isinstance(config, dict):
        own = [config["_target_"]] if "_target_" in config else []
        return own + [name for value in config.values() for name in targets_of(value)]
    return [name for value in config for name in targets_of(value)] if isinstance(config, list) else []
