"""``python -m runner.worker RUN_DIR``."""

from __future__ import annotations

import sys
from pathlib import Path

from runner.distributed.process_group import process_group_member
from runner.distributed.process_info import ProcessInfo
from runner.run.directory import RunDir
from runner.worker import execute
from runner.worker.exit_code import exit_code_of

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1:
        print("usage: python -m runner.worker RUN_DIR", file=sys.stderr)
        return 2
    run = RunDir(Path(arguments[0]).absolute())

    def work() -> None:
        with process_group_member(run, ProcessInfo.here()):
            execute(run)

    return exit_code_of(work)


if __name__ == "__main__":
    sys.exit(main())
