"""Ends a process when its parent ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

__all__ = ["die_with_parent"]

PR_SET_PDEATHSIG = 1
POLL_INTERVAL_S = 1.0


def die_with_parent(signum: int = signal.SIGKILL, parent: int | None = None) -> None:
    """Send a signal to this process when its parent ends.

    On Linux the kernel does this (``PR_SET_PDEATHSIG``); elsewhere a thread checks every second.

    Args:
        signum: the signal.
        parent: process id of the parent, if it was read before a fork; the parent may have ended since.
    """
    parent = os.getppid() if parent is None else parent
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signum) == 0:
        if os.getppid() != parent:  # it ended before prctl
            os.kill(os.getpid(), signum)
        return

    def poll() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_INTERVAL_S)
        os.kill(os.getpid(), signum)

    threading.Thread(target=poll, name="parent", daemon=True).start()
