"""A trial in its forked process, with the data set that it shares with other trials."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from runner.run.format import read_stored_config
from runner.sweep.executors.socket_channel import Channel
from runner.sweep.running_trial import Attempt

if TYPE_CHECKING:
    from runner.data.base import DataModule

__all__ = ["SharedData", "become_trial", "carry_out"]


class SharedData:
    """Of the node of a config that most trials have alike."""

    def __init__(self) -> None:
        self._node: dict[str, Any] | None = None
        self._data: DataModule | None = None

    def set_up(self, node: dict[str, Any]) -> None:
        """What is wrong with the data set is each trial's own to find, and to tell."""
        import torch

        from runner.training.components import make_data

        torch.set_num_threads(1)  # threads that were once started would be missing in a fork
        try:
            data = make_data({"data": node})
            data.prepare_data()
            data.setup("fit")
        except Exception as error:
            print(f"the data set is not shared: {type(error).__name__}: {error}", file=sys.stderr)
            return
        self._node, self._data = node, data

    def of(self, config: dict[str, Any]) -> DataModule | None:
        """For a trial, in its own process; None when it has other data."""
        return self._data if self._node is not None and config["data"] == self._node else None


def become_trial(attempt: Attempt) -> None:
    """A process group, signals, output, devices and limits of its own."""
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
    """Limits the address space to what is mapped now (the libraries) plus a number of bytes."""
    import resource

    import psutil

    most = psutil.Process().memory_info().vms + extra_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def carry_out(attempt: Attempt, end: socket.socket, teaches: bool, shared: SharedData) -> int:
    """Executes the run; its status and results on disk say what came out."""
    import torch

    from runner.errors import ControlSignal, RunnerError

    torch.set_num_threads(attempt.num_threads)
    channel, known = Channel(end, attempt.prunes), set(sys.modules)
    try:
        execute_run(attempt, channel, shared)
    except (RunnerError, ControlSignal) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if teaches:
        channel.tell_modules([name for name in list(sys.modules) if name not in known])
    return 0


def execute_run(attempt: Attempt, channel: Channel, shared: SharedData) -> None:

    from runner.launch import elastic
    from runner.run.directory import RunDir
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
