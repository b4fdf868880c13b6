"""Executes a trial on a machine of a cluster: ``python -m runner.sweep.executors.remote RUN_DIR``.

The instructions for the worker are in the mailbox of the run directory.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runner.run.directory import RunDir
from runner.sweep.executors.file_channel import read_attempt

__all__ = ["main", "run_job"]


def main(argv: list[str] | None = None) -> int:
    """Execute the attempt. A trial of several devices gets an elastic agent on this machine.

    Returns:
        The exit code; the outcome is stored in the run's status.
    """
    (path,) = sys.argv[1:] if argv is None else argv
    attempt = read_attempt(Path(path))
    os.environ.update(attempt.environment)
    os.environ["OMP_NUM_THREADS"] = str(attempt.num_threads)

    from runner.sweep.executors import rank_worker
    from runner.sweep.executors.forked_trial import limit_memory

    if attempt.memory_bytes:
        limit_memory(attempt.memory_bytes)
    return under_agent(RunDir(attempt.run)) if attempt.under_agent else rank_worker.main([path])


def under_agent(run: RunDir) -> int:
    from runner.errors import ControlSignal, Pruned, RunnerError
    from runner.launch import elastic
    from runner.run.format import read_stored_config

    try:
        elastic.launch(run, read_stored_config(run.config_path), "runner.sweep.executors.rank_worker")
    except Pruned as pruned:
        print(pruned, file=sys.stderr)
    except (RunnerError, ControlSignal) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run_job(path: str) -> None:
    """Execute the attempt as a job of submitit, with the output in the trial's own file."""
    output = os.open(read_attempt(Path(path)).output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    code = main([path])
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)  # skips submitit's result file, because the results are in the run directory


if __name__ == "__main__":
    from runner.distributed.parent_death import die_with_parent

    die_with_parent()
    sys.exit(main())
