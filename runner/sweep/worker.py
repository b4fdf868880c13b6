"""A worker that tells a sweep how its trial goes: ``python -m runner.sweep.worker RUN_DIR``.

For workers that are not forked from the sweep's warm process: the ranks of a trial of several devices, and those on
other machines. They talk through the run directory.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from runner.distributed.process_group import process_group_member
from runner.distributed.process_info import ProcessInfo
from runner.errors import Pruned
from runner.run.directory import RunDir
from runner.sweep.file_channel import MailboxChannel, read_attempt
from runner.sweep.reporter import Reporter
from runner.worker import execute
from runner.worker.exit_code import exit_code_of

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Returns 0 also if the sweep ended the trial: the status records it, and the elastic agent must not restart it."""
    (path,) = sys.argv[1:] if argv is None else argv
    run, process_info = RunDir(Path(path).absolute()), ProcessInfo.here()
    attempt = read_attempt(run.path)
    torch.set_num_threads(attempt.num_threads)
    channel = MailboxChannel(run.path, attempt.prunes) if process_info.is_first else None

    def work() -> None:
        with process_group_member(run, process_info):
            try:
                execute(run, [Reporter(channel, attempt.metric)], mirrored=False)
            except Pruned as pruned:
                print(pruned, file=sys.stderr)

    return exit_code_of(work)


if __name__ == "__main__":
    sys.exit(main())
