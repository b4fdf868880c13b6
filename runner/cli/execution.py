"""Executes a run from the command line and prints its results."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.run.directory import RunDir

__all__ = ["execute"]


def execute(run: RunDir) -> int:
    """Start a worker on the run, and print the results and suggested commands.

    Raises:
        RunFailedError: the run failed; the command that resumes it was printed.
        Interrupted: a signal ended the run; the same command was printed.
    """
    from runner.cli.group import is_first
    from runner.errors import Interrupted, RunFailedError
    from runner.launch.local import launch
    from runner.report import console

    try:
        results = launch(run)
    except (Interrupted, RunFailedError):
        if is_first() and any(run.path.glob("**/checkpoints/*.ckpt")):
            print(
                f"`runner resume {console.short_path(run.path)}` resumes from the last checkpoint.",
                file=sys.stderr,
            )
        raise
    if results is not None and is_first():
        console.results(run, results)
    return 0
