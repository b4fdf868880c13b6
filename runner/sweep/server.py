"""The warm process of a sweep: ``python -m runner.sweep.server FD``. It imports what trials need, and forks them.

It never computes: a process that has begun to use threads cannot be forked safely, nor one that has opened a GPU.
Commands come as JSON lines over a socket, one per trial with the trial's channel attached. When the socket ends,
the sweep has gone, and every trial is killed with it.
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
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.sweep.channel import Channel, Lines
from runner.sweep.die_with import die_with

__all__ = ["Server", "main"]

MAX_BYTES, MAX_DESCRIPTORS = 1 << 16, 16


class Server:
    """
    Args:
        control: the socket to the sweep.
    """

    def __init__(self, control: socket.socket):
        self.control = control
        self.pids: dict[int, int] = {}
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
            kill_group(pid)

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
        elif "signal" in message:
            pid = self.pids.get(message["trial"])
            if pid is not None:
                (kill_group if message["signal"] == signal.SIGKILL else terminate)(pid)
        else:
            self.fork(message, self._channels.pop(0))

    def fork(self, job: dict[str, Any], channel: int) -> None:
        owner = os.getpid()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                signal.set_wakeup_fd(-1)
                self.control.close()
                become_trial(job, owner)
                status = carry_out(job, socket.socket(fileno=channel))
            except BaseException:
                traceback.print_exc()
            finally:
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
                os._exit(status)
        os.close(channel)
        self.pids[job["trial"]] = pid
        self.tell({"trial": job["trial"], "pid": pid})

    def reap(self) -> None:
        """Tells of trials that have ended, and takes what they started down with them."""
        while self.pids:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            kill_group(ended.si_pid)  # before its number is free for another process
            _, status = os.waitpid(ended.si_pid, 0)
            for trial, pid in list(self.pids.items()):
                if pid == ended.si_pid:
                    del self.pids[trial]
                    self.tell({"trial": trial, "ended": os.waitstatus_to_exitcode(status)})

    def tell(self, message: dict[str, Any]) -> None:
        try:
            self.control.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the sweep has gone; the next look at the socket says so


def import_targets(targets: list[str]) -> None:
    """The constructors of a config; a name that leads nowhere is told by the trial itself."""
    from runner.config.target import resolve_target

    for name in targets:
        attempt(resolve_target, name)
    keep_shared()


def import_modules(names: list[str]) -> None:
    """What a trial imported on its way: libraries that data sets and metrics load when they are first used."""
    for name in names:
        attempt(importlib.import_module, name)
    keep_shared()


def attempt(function: Callable[[str], Any], name: str) -> None:
    try:
        function(name)
    except Exception as error:
        print(f"{name} is not imported here: {error}", file=sys.stderr)


def keep_shared() -> None:
    """The collector of a forked trial leaves the pages of what is there now untouched."""
    gc.collect()
    gc.freeze()


def become_trial(job: dict[str, Any], owner: int) -> None:
    """A process group, signals, output and limits of its own."""
    os.setpgid(0, 0)
    die_with(owner)
    for signum in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(job["environment"])
    if job["memory_bytes"]:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (job["memory_bytes"], job["memory_bytes"]))


def carry_out(job: dict[str, Any], end: socket.socket) -> int:
    """Executes the run; its status and results on disk say what came out."""
    import torch

    from runner.errors import RunnerError
    from runner.sweep.reporter import Reporter
    from runner.worker import execute

    torch.set_num_threads(job["num_threads"])
    channel, known = Channel(end, job["prunes"]), set(sys.modules)
    try:
        execute(Path(job["run"]), [Reporter(channel, job["metric"])], mirrored=False)
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if job["teaches"]:
        channel.tell_modules([name for name in list(sys.modules) if name not in known])
    return 0


def terminate(pid: int) -> None:
    """Asks the trial, not its loader workers, to save its state and leave."""
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass


def kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it had no time yet to make its group
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def main(arguments: list[str] | None = None) -> None:
    (descriptor,) = sys.argv[1:] if arguments is None else arguments
    die_with(os.getppid())
    import runner.worker  # noqa: F401 - the seconds this takes are spent once

    Server(socket.socket(fileno=int(descriptor))).main()
    os._exit(0)  # nothing is left to tidy up, and libraries are slow and loud at it


if __name__ == "__main__":
    main()
