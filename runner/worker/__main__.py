"""``python -m runner.worker RUN_DIR``."""

from __future__ import annotations

import sys
from pathlib import Path

from runner.ranks.joining import joined
from runner.ranks.place import Place
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
        with joined(run, Place.here()):
            execute(run)

    return exit_code_of(work)


if __name__ == "__main__":
    sys.exit(main())
