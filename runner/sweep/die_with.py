"""A process that does not outlive the one it was started by."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

__all__ = ["die_with"]

PR_SET_PDEATHSIG = 1
LOOK_EVERY_S = 1.0


def die_with(parent: int) -> None:
    """Kills this process when ``parent`` dies, however that dies: at once on Linux, within a second elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it died before it was watched
        os.kill(os.getpid(), signal.SIGKILL)


def watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGKILL)
