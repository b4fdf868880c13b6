"""Entry point of a task of a SLURM job, which executes one rank.

The first rank requeues the job if necessary.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from types import FrameType

from runner.distributed.process_group import process_group_member
from runner.distributed.process_info import ProcessInfo
from runner.errors import Interrupted
from runner.launch.slurm_query import job_of
from runner.run.directory import RunDir

__all__ = ["run_task"]

SIGNALS = (signal.SIGUSR1, signal.SIGTERM)
"""SIGUSR1 is sent before the time limit; SIGTERM on preemption and on cancellation."""

END_WAIT_S = 90
"""Time in seconds that SLURM may take to end a job that is requeued."""


def run_task(path: str, max_requeues: int) -> None:
    """Execute one rank. submitit calls this in every task; the outcome is written to the run's status.

    Args:
        path: the run directory.
        max_requeues: number of times that the job may be requeued.

    Raises:
        RunnerError: the run failed.
    """
    run, process_info = RunDir(Path(path)), ProcessInfo.here()
    for signum in SIGNALS:
        signal.signal(signum, stop)  # for the duration of the imports; training installs its own handlers
    try:
        from runner.tracking import start as start_mirror
        from runner.training.worker import execute

        with process_group_member(run, process_info):
            execute(run, mirror=start_mirror)
    except Interrupted as interrupted:
        if not should_requeue(interrupted, max_requeues):
            raise
        if process_info.is_first:
            requeue()
        wait_for_termination()


def stop(signum: int, frame: FrameType | None) -> None:
    raise Interrupted(f"{signal.Signals(signum).name}: ended immediately.", signum)


def should_requeue(interrupted: Interrupted, max_requeues: int) -> bool:
    """Return whether to requeue the job: not after a cancellation, and at most ``max_requeues`` times.

    A job that is cancelled, or requeued by SLURM itself, no longer has the state RUNNING; a preempted job
    keeps it until its grace period is over.
    """
    if interrupted.signum not in SIGNALS:
        return False
    if interrupted.signum == signal.SIGTERM and job_of(os.environ["SLURM_JOB_ID"]).state != "RUNNING":
        return False
    if int(os.environ.get("SLURM_RESTART_COUNT", "0")) < max_requeues:
        return True
    print(
        f"the job has been queued {max_requeues + 1} times (launcher.max_requeues), so it ends here.",
        flush=True,
    )
    return False


def requeue() -> None:
    job = os.environ["SLURM_JOB_ID"]
    print(f"job {job} is requeued.", flush=True)
    result = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    if result.returncode:
        # scontrol fails if SLURM requeues the job itself at the same time.
        print(f"scontrol requeue {job}: {result.stderr.strip()}", flush=True)


def wait_for_termination() -> None:
    """Wait for SLURM to end all tasks of the job; a task that exits earlier would count as a failure."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_DFL)
    time.sleep(END_WAIT_S)
