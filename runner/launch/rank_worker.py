"""Executes a run directory as one of its ranks: ``python -m runner.launch.rank_worker RUN_DIR``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from runner.distributed.process_group import process_group_member
from runner.distributed.process_info import ProcessInfo
from runner.errors import ControlSignal, RunnerError
from runner.run.directory import RunDir
from runner.tracking import start as start_mirror
from runner.training.worker import execute

__all__ = ["exit_code_of", "main"]


def exit_code_of(work: Callable[[], object]) -> int:
    """Call ``work`` and return 0, or print the message of a runner error and return its exit code."""
    try:
        work()
    except (RunnerError, ControlSignal) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def main(argv: list[str] | None = None) -> int:
    """Execute the run directory named by the only argument; return the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1:
        print("usage: python -m runner.launch.rank_worker RUN_DIR", file=sys.stderr)
        return 2
    run = RunDir(Path(arguments[0]).absolute())

    def work() -> None:
        with process_group_member(run, ProcessInfo.here()):
            execute(run, mirror=start_mirror)

    return exit_code_of(work)


if __name__ == "__main__":
    sys.exit(main())
