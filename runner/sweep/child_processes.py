"""What a trial has started ends with it: loader workers, an elastic agent, its ranks."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

import psutil

__all__ = ["adopt_orphans", "end_orphans", "kill_group", "kill_tree", "signal_process"]

PR_SET_CHILD_SUBREAPER = 36
GONE_WITHIN_S = 10.0


def adopt_orphans() -> None:
    """Processes below this one whose parent ends become its own children, so that none can get away (Linux)."""
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
