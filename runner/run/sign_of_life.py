"""A running run tells other machines that it is alive."""

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
    """Touches the run's status as long as the block lasts. ``read_status`` on another machine takes a run whose status
    was not touched for minutes as lost, so that ``resume=auto`` there goes on with it."""
    over = threading.Event()

    def touch() -> None:
        while not over.wait(every_s):
            try:
                os.utime(run.status_path)
            except OSError:
                pass  # a file system that is away for a while costs no run

    thread = threading.Thread(target=touch, name="signs of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
