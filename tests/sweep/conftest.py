"""Sweeps of the smallest trainings there are, in a folder of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from runner.cli import main
from runner.sweep.directory import SweepDir


def alive(marker: str) -> list[int]:
    """Processes whose environment says that they belong to this test."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


class Bench:
    """Starts ``runner sweep`` in a process of its own, forked from this one, which has imported torch already.

    Attributes:
        tiny: the overrides of the smallest training.
        marker: stands in the environment of the processes that trials are forked from, and of the trials.
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
        self.marker = f"SWEEP_TEST={folder}"

    def start(self, *words: str) -> int:
        """The process id."""
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            os.chdir(self.folder)
            os.environ["SWEEP_TEST"] = str(self.folder)
            output = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.stdout = os.fdopen(1, "w", closefd=False)
            sys.stderr = os.fdopen(2, "w", closefd=False)
            code = main(["sweep", *self.tiny, *words])
            sys.stdout.flush()
        finally:
            os._exit(code)

    def said(self) -> str:
        return (self.folder / "said.txt").read_text()

    def processes(self) -> list[int]:
        """Those of its sweeps, the sweep's own apart."""
        return alive(self.marker)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
