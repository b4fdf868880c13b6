"""One piece of work at a time in a thread beside the training; what goes wrong there is raised here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Background"]


class Background:
    """A daemon thread per job: a process that has to leave at once does not wait for it."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._outcome: Any = None
        self._error: BaseException | None = None

    @property
    def busy(self) -> bool:
        """Whether there is a job whose outcome was not taken yet."""
        return self._thread is not None

    @property
    def done(self) -> bool:
        """Whether there is one, and it has ended."""
        return self._thread is not None and not self._thread.is_alive()

    def start(self, job: Callable[[], Any]) -> None:
        """Begins a job; the one before must have been taken."""
        if self.busy:
            raise RuntimeError("the job before is not done with")

        def work() -> None:
            try:
                self._outcome = job()
            except BaseException as error:  # raised in the thread that takes the outcome
                self._error = error

        self._outcome = self._error = None
        self._thread = threading.Thread(target=work, name="checkpoint", daemon=True)
        self._thread.start()

    def take(self) -> Any:
        """Waits for the job and returns its outcome, or raises what ended it."""
        self._thread.join()
        self._thread = None
        outcome, error = self._outcome, self._error
        self._outcome = self._error = None
        if error is not None:
            raise error
        return outcome
