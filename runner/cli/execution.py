"""Executes a run from the command line and prints its results."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.run.directory import RunDir

__all__ = ["execute"]


def execute(run: RunDir) -> int:
    """Start a worker on the run, and print the results and suggested commands.

    Raises:
        RunFailedError: the run failed; a note names the command that resumes it.
        Interrupted: a signal ended the run; with the same note.
    """
    from runner.cli.group import is_first
    from runner.errors import Interrupted, RunFailedError
    from runner.launch.local import launch
    from runner.report import console

    try:
        results = launch(run)
    except (Interrupted, RunFailedError) as error:
        if is_first() and any(run.path.glob("**/checkpoints/*.ckpt")):
            command = f"runner resume {console.short_path(run.path)}"
            error.add_note(f"`{command}` resumes from the last checkpoint.")
        raise
    if results is not None and is_first():
        console.results(run, results)
    return 0
