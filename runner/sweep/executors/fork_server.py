"""The fork server of a sweep: ``python -m runner.sweep.executors.fork_server FD``.

The server imports the libraries and loads the data, and forks each trial. It never computes, because a
process that has started threads or opened a GPU cannot be forked safely. Commands arrive as JSON lines over a
socket; the command that starts a trial has the trial's channel attached. When the socket is closed, the sweep
has ended, and the server kills all trials.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from runner.distributed.parent_death import die_with_parent
from runner.sweep.executors.child_processes import (
    adopt_orphans,
    fork_child,
    kill_group,
    kill_orphans,
    kill_tree,
    signal_process,
)
from runner.sweep.executors.forked_trial import SharedData, become_trial, run_attempt
from runner.sweep.executors.socket_channel import JsonLines
from runner.sweep.running_trial import Attempt

__all__ = ["Server", "main"]

MAX_BYTES, MAX_DESCRIPTORS = 1 << 16, 16


class Server:
    """Forks trials on request.

    Args:
        control: the socket to the sweep.
    """

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.pids: dict[int, int] = {}
        self.data = SharedData()
        self._lines = JsonLines()
        self._channels: list[int] = []
        self._wakeup_read, self._wakeup_write = os.pipe()
        for end in (self._wakeup_read, self._wakeup_write):
            os.set_blocking(end, False)

    def main(self) -> None:
        """Handle commands until the sweep has ended."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is handled by the sweep
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        self.send({"ready": os.getpid()})
        while self.wait_for_commands():
            self.reap()
        for pid in self.pids.values():
            kill_tree(pid)

    def wait_for_commands(self) -> bool:
        """Wait for commands or the end of a trial; return False when the sweep has ended."""
        control = self.control.fileno()
        readable, _, _ = select.select([control, self._wakeup_read], [], [])
        if self._wakeup_read in readable:
            os.read(self._wakeup_read, 4096)
        if control in readable:
            data, channels, _, _ = socket.recv_fds(self.control, MAX_BYTES, MAX_DESCRIPTORS)
            if not data:
                return False
            self._channels += channels
            for message in self._lines.feed(data):
                self.handle(message)
        return True

    def handle(self, message: dict[str, Any]) -> None:
        """Execute one command."""
        if "targets" in message:
            import_targets(message["targets"])
        elif "modules" in message:
            import_modules(message["modules"])
        elif "data" in message:
            self.data.set_up(message["data"])
            keep_shared()
        elif "signal" in message:
            pid = self.pids.get(message["trial"])
            if pid is not None and message["signal"] == signal.SIGKILL:
                kill_tree(pid)
            elif pid is not None:  # only the trial, not its loader workers, saves its state
                signal_process(pid, message["signal"])
        else:
            reports_modules = message.pop("reports_modules")
            self.fork(Attempt.from_dict(message), self._channels.pop(0), reports_modules)

    def fork(self, attempt: Attempt, channel: int, reports_modules: bool) -> None:
        """Fork a trial.

        Args:
            attempt: the instructions for the trial.
            channel: descriptor of its socket to the sweep.
            reports_modules: whether it reports the modules that it imported.
        """

        def trial() -> int:
            signal.set_wakeup_fd(-1)
            become_trial(attempt)
            return run_attempt(attempt, socket.socket(fileno=channel), reports_modules, self.data)

        pid = fork_child(trial, keep=[channel], output=None).pid
        os.close(channel)
        self.pids[attempt.trial] = pid
        self.send({"trial": attempt.trial, "pid": pid})

    def reap(self) -> None:
        """Report the trials that have ended, and kill the processes that they have started."""
        trials = {pid: trial for trial, pid in self.pids.items()}
        while (ended := next_ended()) is not None:
            kill_group(ended)  # before another process can get its id
            _, status = os.waitpid(ended, 0)
            if ended in trials:
                trial = trials.pop(ended)
                del self.pids[trial]
                # The next attempt uses the same directory, so no other process may still write to it.
                kill_orphans(set(self.pids.values()))
                self.send({"trial": trial, "ended": os.waitstatus_to_exitcode(status)})

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the sweep."""
        with suppress(OSError):  # the sweep has ended, which the next read of the socket detects
            self.control.sendall(json.dumps(message).encode() + b"\n")


def next_ended() -> int | None:
    """Return the id of a child that has ended and was not waited for."""
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if ended is None else ended.si_pid


def import_targets(targets: list[str]) -> None:
    """Import the constructors of a config. A name that cannot be imported is reported by each trial."""
    from runner.config.allow_list import resolve_target

    for name in targets:
        try_import(resolve_target, name)
    keep_shared()


def import_modules(names: list[str]) -> None:
    """Import the modules that a trial has loaded while running, such as libraries of metrics."""
    for name in names:
        try_import(importlib.import_module, name)
    keep_shared()


def try_import(function: Callable[[str], Any], name: str) -> None:
    try:
        function(name)
    except Exception as error:
        print(f"{name} is not imported here: {error}", file=sys.stderr)


def keep_shared() -> None:
    """Exclude existing objects from garbage collection, so that forked trials share their memory pages."""
    gc.collect()
    gc.freeze()


def serve(control: socket.socket) -> int:
    """Serve a sweep until it ends; the caller has imported the libraries."""
    adopt_orphans()
    Server(control).main()
    return 0


def main(arguments: list[str] | None = None) -> None:
    """Serve the sweep at the socket whose descriptor is the only argument."""
    (descriptor,) = sys.argv[1:] if arguments is None else arguments
    die_with_parent()
    import runner.training.worker  # noqa: F401 - imported once for all trials

    serve(socket.socket(fileno=int(descriptor)))
    os._exit(0)  # nothing to clean up; the exit handlers of libraries are slow and print warnings


if __name__ == "__main__":
    main()
