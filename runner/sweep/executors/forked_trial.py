"""Executes a trial in a forked process, with the data set that it shares with other trials."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from runner.sweep.executors.socket_channel import Channel
from runner.sweep.running_trial import Attempt

if TYPE_CHECKING:
    from runner.data.base import DataModule

__all__ = ["SharedData", "become_trial", "limit_memory", "run_attempt"]


class SharedData:
    """The data module of the ``data`` node that most trials have in common."""

    def __init__(self) -> None:
        self._node: dict[str, Any] | None = None
        self._data: DataModule | None = None

    def set_up(self, node: dict[str, Any]) -> None:
        """Prepare and set up the data set. A failure is only printed, because each trial reports it."""
        import torch

        from runner.training.components import make_data

        torch.set_num_threads(1)  # threads do not survive a fork
        try:
            data = make_data({"data": node})
            data.prepare_data()
            data.setup("fit")
        except Exception as error:
            print(f"the data set is not shared: {type(error).__name__}: {error}", file=sys.stderr)
            return
        self._node, self._data = node, data

    def of(self, config: dict[str, Any]) -> DataModule | None:
        """Return the data module for a trial; None if the trial has different data."""
        return self._data if self._node is not None and config["data"] == self._node else None


def become_trial(attempt: Attempt) -> None:
    """Give this process its own process group, signal handlers, output, devices and limits."""
    os.setpgid(0, 0)
    for signum in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(attempt.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(attempt.environment)
    if attempt.memory_bytes:
        limit_memory(attempt.memory_bytes)


def limit_memory(extra_bytes: int) -> None:
    """Limit the address space to its current size (the libraries) plus a number of bytes."""
    import resource

    import psutil

    limit = psutil.Process().memory_info().vms + extra_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def run_attempt(attempt: Attempt, end: socket.socket, reports_modules: bool, shared: SharedData) -> int:
    """Execute the run of an attempt; its outcome is stored in the run directory.

    Args:
        attempt: the instructions for the trial.
        end: socket to the sweep.
        reports_modules: whether to report the modules that were imported.
        shared: the shared data set.

    Returns:
        The exit code.
    """
    import torch

    from runner.errors import ControlSignal, RunnerError

    torch.set_num_threads(attempt.num_threads)
    channel, known = Channel(end, attempt.prunes), set(sys.modules)
    try:
        execute_run(attempt, channel, shared)
    except (RunnerError, ControlSignal) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if reports_modules:
        channel.report_modules([name for name in list(sys.modules) if name not in known])
    return 0


def execute_run(attempt: Attempt, channel: Channel, shared: SharedData) -> None:
    from runner.launch import elastic
    from runner.run.directory import RunDir
    from runner.run.format import read_stored_config
    from runner.sweep.executors.forked_ranks import execute_ranks
    from runner.sweep.executors.rank_worker import Reporter
    from runner.training.components import resolve
    from runner.training.worker import execute

    run = RunDir(attempt.run)
    config = read_stored_config(run.config_path)
    os.environ["OMP_NUM_THREADS"] = str(attempt.num_threads)
    if attempt.under_agent:
        elastic.launch(run, config, "runner.sweep.executors.rank_worker")
        return

    def work(reports: bool) -> None:
        reporter = Reporter(channel if reports else None, attempt.metric)
        execute(run, [reporter], data=shared.of(resolve(config, None)))

    if attempt.num_devices > 1:
        execute_ranks(run, attempt.num_devices, work, channel.fileno())
    else:
        work(reports=True)
