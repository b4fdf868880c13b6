"""The warm process of a sweep: ``python -m runner.sweep.executors.fork_server FD``. It imports what trials
need, and forks them.

It never computes: a process that has begun to use threads cannot be forked safely, nor one that has opened a
    GPU.
Commands come as JSON lines over a socket, one per trial with the trial's channel attached. When the socket
ends, the sweep has gone, and every trial is killed with it.
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
from typing import Any

from runner.distributed.parent_death import die_with_parent
from runner.sweep.executors.child_processes import (
    adopt_orphans,
    end_orphans,
    fork_child,
    kill_group,
    kill_tree,
    signal_process,
)
from runner.sweep.executors.forked_trial import SharedData, become_trial, carry_out
from runner.sweep.executors.socket_channel import Lines
from runner.sweep.running_trial import Attempt

__all__ = ["Server", "main"]

MAX_BYTES, MAX_DESCRIPTORS = 1 << 16, 16


class Server:
    """
    Args:
        control: the socket to the sweep.
    """

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.pids: dict[int, int] = {}
        self.data = SharedData()
        self._lines = Lines()
        self._channels: list[int] = []
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)

    def main(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the sweep's to handle
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self.tell({"ready": os.getpid()})
        while self.take_commands():
            self.reap()
        for pid in self.pids.values():
            kill_tree(pid)

    def take_commands(self) -> bool:
        """Waits for commands or the end of a trial; False when the sweep has gone."""
        readable, _, _ = select.select([self.control, self._woken], [], [])
        if self._woken in readable:
            os.read(self._woken, 4096)
        if self.control in readable:
            data, channels, _, _ = socket.recv_fds(self.control, MAX_BYTES, MAX_DESCRIPTORS)
            if not data:
                return False
            self._channels += channels
            for message in self._lines.feed(data):
                self.obey(message)
        return True

    def obey(self, message: dict[str, Any]) -> None:
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
            elif pid is not None:  # the trial, not its loader workers, saves its state and leaves
                signal_process(pid, message["signal"])
        else:
            teaches = message.pop("teaches")
            self.fork(Attempt.from_dict(message), self._channels.pop(0), teaches)

    def fork(self, attempt: Attempt, channel: int, teaches: bool) -> None:
        def trial() -> int:
            signal.set_wakeup_fd(-1)
            become_trial(attempt)
            return carry_out(attempt, socket.socket(fileno=channel), teaches, self.data)

        pid = fork_child(trial, keep=[channel], output=None).pid
        os.close(channel)
        self.pids[attempt.trial] = pid
        self.tell({"trial": attempt.trial, "pid": pid})

    def reap(self) -> None:
        """Tells of trials that have ended, and takes what they started down with them."""
        trials = {pid: trial for trial, pid in self.pids.items()}
        while (ended := next_ended()) is not None:
            kill_group(ended)  # before its number is free for another process
            _, status = os.waitpid(ended, 0)
            if ended in trials:
                trial = trials.pop(ended)
                del self.pids[trial]
                end_orphans(
                    set(self.pids.values())
                )  # no other process may write where the next attempt starts
                self.tell({"trial": trial, "ended": os.waitstatus_to_exitcode(status)})

    def tell(self, message: dict[str, Any]) -> None:
        try:
            self.control.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the sweep has gone; the next look at the socket says so


def next_ended() -> int | None:
    """A child that has ended and is not yet waited for."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid


def import_targets(targets: list[str]) -> None:
    """The constructors of a config; a trial reports by itself a name that cannot be imported."""
    from runner.config.allow_list import resolve_target

    for name in targets:
        try_import(resolve_target, name)
    keep_shared()


def import_modules(names: list[str]) -> None:
    """What a trial imported on its way: libraries that data sets and metrics load when they are first
    used.
    """
    for name in names:
        try_import(importlib.import_module, name)
    keep_shared()


def try_import(function: Callable[[str], Any], name: str) -> None:
    try:
        function(name)
    except Exception as error:
        print(f"{name} is not imported here: {error}", file=sys.stderr)


def keep_shared() -> None:
    """The collector of a forked trial leaves the pages of what is there now untouched."""
    gc.collect()
    gc.freeze()


def serve(control: socket.socket) -> int:
    """Until the sweep goes; everything a trial needs is imported already."""
    adopt_orphans()
    Server(control).main()
    return 0


def main(arguments: list[str] | None = None) -> None:
    (descriptor,) = sys.argv[1:] if arguments is None else arguments
    die_with_parent()
    import runner.training.worker  # noqa: F401 - the seconds this takes are spent once

    serve(socket.socket(fileno=int(descriptor)))
    os._exit(0)  # nothing is left to tidy up, and libraries are slow and loud at it


if __name__ == "__main__":
    main()
