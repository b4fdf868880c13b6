"""A run carried out in this process, and told about on the console."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.run.directory import RunDir

__all__ = ["execute"]


def execute(run: RunDir) -> int:
    """Starts a worker on the run; prints what came out and the next commands worth typing.

    Raises:
        RunnerError: what ended the run; the command that goes on from there was printed.
    """
    from runner.cli.group import is_first
    from runner.errors import Interrupted, RunFailed
    from runner.launch.local import launch
    from runner.report import messages

    try:
        results = launch(run)
    except (Interrupted, RunFailed):
        if is_first() and any(run.path.glob("**/checkpoints/*.ckpt")):
            print(
                f"`runner resume {messages.short_path(run.path)}` goes on from the last checkpoint.",
                file=sys.stderr,
            )
        raise
    if results is not None and is_first():
        messages.results(run, results)
    return 0
