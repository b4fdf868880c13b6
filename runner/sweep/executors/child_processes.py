"""Forks child processes, and kills all processes that a trial has started."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil

from runner.distributed.parent_death import die_with_parent

__all__ = [
    "Child",
    "adopt_orphans",
    "fork_child",
    "kill_group",
    "kill_orphans",
    "kill_tree",
    "signal_process",
]

POLL_INTERVAL_S = 0.02


class Child:
    """A forked child process, with the interface of ``subprocess.Popen``."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the process has ended.

        Raises:
            TimeoutError: it did not end within ``timeout`` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not os.waitpid(self.pid, os.WNOHANG)[0]:
            if until is not None and time.monotonic() > until:
                raise TimeoutError(f"process {self.pid} is still running")
            time.sleep(POLL_INTERVAL_S)

    def kill(self) -> None:
        """Kill the process."""
        os.kill(self.pid, signal.SIGKILL)


def fork_child(work: Callable[[], int], keep: Iterable[int], output: int | None) -> Child:
    """Fork this process.

    Args:
        work: called in the child; its result is the exit code.
        keep: descriptors that stay open in the child besides the standard ones. All others, such as locks and
            sockets, belong to this process only.
        output: descriptor for the child's output; None for that of this process.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # otherwise the child would print the buffered text again
    owner = os.getpid()
    pid = os.fork()
    if pid:
        return Child(pid)
    status = 1
    try:
        die_with_parent(parent=owner)
        if output is not None:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            # New streams, because a library may have wrapped those of the terminal.
            sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 - lives as long as the process
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115 - likewise
        detach_descriptors(set(keep))
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def detach_descriptors(keep: set[int]) -> None:
    """Redirect all other descriptors to ``/dev/null``, so that locks end with the process that took them.

    They are not closed: an inherited object would otherwise later close a new descriptor of the same number.
    """
    null = os.open(os.devnull, os.O_RDWR)
    names = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else map(str, range(256))
    for number in map(int, names):
        if number > 2 and number != null and number not in keep and is_open(number):
            os.dup2(null, number, inheritable=False)


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


PR_SET_CHILD_SUBREAPER = 36
KILL_TIMEOUT_S = 10.0


def adopt_orphans() -> None:
    """Make descendants whose parent ends children of this process, so that none can escape (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)


def kill_orphans(keep: set[int]) -> None:
    """Kill the children that are not in ``keep`` with all their descendants, and wait for their end."""
    until = time.monotonic() + KILL_TIMEOUT_S
    while time.monotonic() < until:
        orphans = [child for child in psutil.Process().children() if child.pid not in keep]
        if not orphans:
            return
        for orphan in orphans:
            kill_tree(orphan.pid)
        for orphan in orphans:
            wait_for(orphan.pid, until)


def wait_for(pid: int, until: float) -> None:
    while time.monotonic() < until:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        except ChildProcessError:
            return
        time.sleep(0.005)


def kill_tree(pid: int) -> None:
    """Kill a process, its process group, and all its descendants in any group."""
    try:
        descendants = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        descendants = []
    kill_group(pid)
    for process in descendants:
        try:
            process.kill()
        except psutil.Error:
            continue


def kill_group(pid: int) -> None:
    """Kill a process and its process group."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it has not created its group yet
        signal_process(pid, signal.SIGKILL)


def signal_process(pid: int, signum: int) -> None:
    """Send a signal to a process, if it still exists."""
    with suppress(ProcessLookupError):
        os.kill(pid, signum)
