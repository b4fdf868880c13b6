"""Sweeps of the smallest trainings, in an empty folder."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.cli import main
from runner.sweep.directory import SweepDir


def in_session(session: int) -> list[int]:
    """Return the processes of a session: all that a command started, except those in new sessions."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) == session and is_running(entry):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def is_running(entry: Path) -> bool:
    """Return whether the process is not a zombie."""
    return (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"


class Bench:
    """Starts ``runner sweep`` in a process forked from this one, which has imported torch already.

    Attributes:
        tiny: the overrides of the smallest training.
        started: process ids of the sweeps, each in its own session.
    """

    tiny = (
        "model=logistic",
        "data=digits",
        "hardware=cpu",
        "tracking=none",
        "trainer.max_epochs=2",
        "trainer.limit_train_batches=4",
        "trainer.limit_val_batches=2",
        "trainer.limit_test_batches=1",
        "sweep.name=s",
    )

    def __init__(self, folder: Path):
        self.folder = folder
        self.sweep = SweepDir(folder / "runs" / "s")
        self.started: list[int] = []

    def start(self, *words: str) -> int:
        """Start the smallest sweep and return its process id."""
        return self.start_with(*self.tiny, *words)

    def start_with(self, *words: str) -> int:
        """Start ``runner sweep`` with these words and return its process id."""
        pid = os.fork()
        if pid:
            self.started.append(pid)
            return pid
        code = 1
        try:
            os.setsid()
            os.chdir(self.folder)
            output = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.stdout = os.fdopen(1, "w", closefd=False)
            sys.stderr = os.fdopen(2, "w", closefd=False)
            code = main(["sweep", *words])
            sys.stdout.flush()
        finally:
            os._exit(code)

    def said(self) -> str:
        return (self.folder / "said.txt").read_text()

    def processes(self) -> list[int]:
        """Return the running processes of the sweeps, including the sweeps."""
        return [pid for session in self.started for pid in in_session(session)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for pid in made.processes():
        os.kill(pid, signal.SIGKILL)
