"""Signals to other machines that a run is alive."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from runner.run.directory import RunDir

__all__ = ["signs_of_life"]

EVERY_S = 30


@contextmanager
def signs_of_life(run: RunDir, every_s: float = EVERY_S) -> Iterator[None]:
    """Touches the run's status file while the context is active. On another machine, ``read_status`` reports a run as lost
    if its status has not been touched for minutes, so that ``resume=auto`` continues it there."""
    over = threading.Event()

    def touch() -> None:
        while not over.wait(every_s):
            try:
                os.utime(run.status_path)
            except OSError:
                pass  # a temporarily unavailable file system must not end the run

    thread = threading.Thread(target=touch, name="signs of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
