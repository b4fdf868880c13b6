"""The executor for this machine: trials are forked from a fork server, which is restarted if it dies."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.errors import RunFailedError
from runner.run.child_process import module_command
from runner.sweep.executors.child_processes import Child, fork_child
from runner.sweep.executors.file_channel import Mailbox
from runner.sweep.executors.socket_channel import CONTINUE, PRUNE, JsonLines
from runner.sweep.running_trial import Attempt, Event

__all__ = ["Pool", "cores"]

MAX_STARTS = 20
READ = 1 << 16


class Pool:
    """An `Executor` for trials on this machine.

    Args:
        targets: dotted names of the constructors that trials will call.
        log: file for the output of the fork server.
        data: the ``data`` node that all trials have in common, if any.
    """

    def __init__(self, targets: list[str], log: Path, data: dict[str, Any] | None = None) -> None:
        self.targets = targets
        self.data = data
        self.log = log
        self.server_pid: int | None = None
        self._starts = 0
        self._modules: list[str] = []
        self._ends: dict[int, socket.socket] = {}
        self._lines: dict[int, JsonLines] = {}
        self._mailboxes: dict[int, Mailbox] = {}
        self._start()

    def _start(self) -> None:
        self._starts += 1
        self._control, theirs = socket.socketpair()
        self._from_server = JsonLines()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._process: Child | subprocess.Popen[bytes]
        with theirs, open(self.log, "ab") as output:
            if self._starts == 1 and sys.platform == "linux":
                self._process = fork_server(theirs, output.fileno())
            else:  # this process may have started threads, so it cannot be forked safely
                self._process = subprocess.Popen(
                    module_command("runner.sweep.executors.fork_server", str(theirs.fileno())),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                )
        self._send({"targets": self.targets})
        self._send({"modules": self._modules})
        if self.data is not None:
            self._send({"data": self.data})

    def _send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        data = json.dumps(message).encode() + b"\n"
        with suppress(OSError):  # the end of the server is reported by a separate event
            if descriptors:
                socket.send_fds(self._control, [data], list(descriptors))
            else:
                self._control.sendall(data)

    def start(self, attempt: Attempt) -> None:
        """Start an attempt; see `Executor`."""
        if attempt.under_agent:  # the ranks of an elastic agent do not inherit the socket
            self._mailboxes[attempt.trial] = Mailbox(attempt)
        ours, theirs = socket.socketpair()
        with theirs:
            self._send(attempt.as_dict() | {"reports_modules": not self._modules}, (theirs.fileno(),))
        self._ends[attempt.trial], self._lines[attempt.trial] = ours, JsonLines()

    def answer(self, trial: int, prune: bool) -> None:
        """Answer a ``report``; see `Executor`."""
        if trial in self._mailboxes:
            self._mailboxes[trial].answer(prune)
            return
        with suppress(OSError, KeyError):  # the trial has ended in the meantime
            self._ends[trial].sendall(PRUNE if prune else CONTINUE)

    def signal(self, trial: int, signum: int) -> None:
        """Signal a trial; see `Executor`."""
        self._send({"trial": trial, "signal": int(signum)})

    def wait(self, timeout_s: float) -> list[Event]:
        """Return the events since the last call; see `Executor`."""
        trials = {end: trial for trial, end in self._ends.items() if end.fileno() >= 0}
        readable, _, _ = select.select([self._control, *trials], [], [], timeout_s)
        events = [event for mailbox in self._mailboxes.values() for event in mailbox.events()]
        for end in readable:
            if end is not self._control:
                events += self._from_trial(trials[end], end)
        if self._control in readable:
            events += self._from_control()
        return events

    def _from_trial(self, trial: int, end: socket.socket) -> list[Event]:
        try:
            data = end.recv(READ)
        except OSError:
            data = b""
        if not data:
            end.close()  # the server reports the end of the trial, with its exit status
            return []
        events = []
        for message in self._lines[trial].feed(data):
            if "modules" in message and not self._modules:
                self._modules = message["modules"]
                self._send({"modules": self._modules})
            elif "value" in message:
                events.append(Event("report", trial, epoch=message["epoch"], value=message["value"]))
            else:
                events.append(Event("beat", trial))
        return events

    def _from_control(self) -> list[Event]:
        try:
            data = self._control.recv(READ)
        except OSError:
            data = b""
        if not data:
            return self._server_died()
        events = []
        for message in self._from_server.feed(data):
            self.server_pid = message.get("ready", self.server_pid)
            if "pid" in message:
                events.append(Event("started", message["trial"]))
            if "ended" in message:
                trial = message["trial"]
                events += [*self._last_events(trial), Event("ended", trial, status=message["ended"])]
                self._forget(trial)
        return events

    def _last_events(self, trial: int) -> list[Event]:
        if trial in self._mailboxes:
            return self._mailboxes[trial].events()
        return self._from_trial(trial, self._ends[trial]) if self._ends[trial].fileno() >= 0 else []

    def _server_died(self) -> list[Event]:
        """Start another server; all trials died with the previous one."""
        self._process.wait()
        self._control.close()
        if self._starts >= MAX_STARTS or (self.server_pid is None and self._starts > 2):
            raise RunFailedError(
                f"the process that starts trials ends repeatedly; see {self.log} for the reason."
            )
        self.server_pid = None
        lost = list(self._ends)
        for trial in lost:
            self._forget(trial)
        self._start()
        return [Event("ended", trial, status=-signal.SIGKILL) for trial in lost]

    def _forget(self, trial: int) -> None:
        self._ends.pop(trial).close()
        self._lines.pop(trial)
        self._mailboxes.pop(trial, None)

    def close(self) -> None:
        """Kill all remaining attempts and end the server."""
        self._control.close()
        for trial in list(self._ends):
            self._forget(trial)
        try:
            self._process.wait(10)
        except (subprocess.TimeoutExpired, TimeoutError):
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def fork_server(control: socket.socket, output: int) -> Child:
    """Fork the first server from this process, which has imported most libraries to check the config."""
    import runner.training.worker  # noqa: F401 - the remaining libraries, once for both processes
    from runner.sweep.executors.fork_server import serve

    return fork_child(lambda: serve(control), keep=[control.fileno()], output=output)


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
