"""Forks child processes, and ends all processes that a trial has started."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable

import psutil

from runner.distributed.parent_death import die_with_parent

__all__ = ["Child", "adopt_orphans", "end_orphans", "fork_child", "kill_group", "kill_tree", "signal_process"]

POLL_INTERVAL_S = 0.02


class Child:
    """What ``subprocess.Popen`` is for a process that was forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def wait(self, timeout: float | None = None) -> None:
        """
        Raises:
            TimeoutError: it has not ended by then.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not os.waitpid(self.pid, os.WNOHANG)[0]:
            if until is not None and time.monotonic() > until:
                raise TimeoutError(f"process {self.pid} is still running")
            time.sleep(POLL_INTERVAL_S)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def fork_child(work: Callable[[], int], keep: Iterable[int], output: int | None) -> Child:
    """
    Args:
        work: what the copy does; its result is the exit code.
        keep: descriptors that stay open in it besides the standard ones: locks and sockets are this process's
            own.
        output: where it prints to; None: where this process does.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # else the copy would say it again
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
            sys.stdout = open(1, "w", buffering=1, closefd=False)  # a terminal's may be wrapped by somebody
            sys.stderr = open(2, "w", buffering=1, closefd=False)
        let_go_of(set(keep))
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def let_go_of(keep: set[int]) -> None:
    """All other descriptors lead nowhere from now on: locks end with the process that took them.

    They are not closed: an object that still thinks one is its own would later close what has its number
        then.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    names = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else map(str, range(256))
    for number in map(int, names):
        if number > 2 and number != nowhere and number not in keep and is_open(number):
            os.dup2(nowhere, number, inheritable=False)


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


PR_SET_CHILD_SUBREAPER = 36
GONE_WITHIN_S = 10.0


def adopt_orphans() -> None:
    """Processes below this one whose parent ends become its own children, so that none can get away
    (Linux).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_orphans(keep: set[int]) -> None:
    """Ends the children that are not in ``keep`` with all below them, and waits until they are gone."""
    until = time.monotonic() + GONE_WITHIN_S
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
    """The process, its process group, and all its descendants in any group."""
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        below = []
    kill_group(pid)
    for process in below:
        try:
            process.kill()
        except psutil.Error:
            continue


def kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it had no time yet to make its group
        signal_process(pid, signal.SIGKILL)


def signal_process(pid: int, signum: int) -> None:
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        pass
