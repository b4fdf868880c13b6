"""What a task of a SLURM job does: a rank of the run; the first one puts the job back into the queue when it must."""

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

__all__ = ["carry_out"]

SIGNALS = (signal.SIGUSR1, signal.SIGTERM)
"""SIGUSR1 comes before the job's time is over, SIGTERM when another job is preferred, and when it is cancelled."""

END_WAIT_S = 90
"""How long SLURM may take to end a job that goes back into the queue."""


def carry_out(path: str, max_requeues: int) -> None:
    """Called by submitit in every task. What became of the run stands in its status.

    Raises:
        RunnerError: what ended the run.
    """
    run, process_info = RunDir(Path(path)), ProcessInfo.here()
    for signum in SIGNALS:
        signal.signal(signum, stop)  # while everything is imported; training has handlers of its own
    try:
        from runner.worker import execute

        with process_group_member(run, process_info):
            execute(run)
    except Interrupted as stopped:
        if not goes_back(stopped, max_requeues):
            raise
        if process_info.is_first:
            requeue()
        wait_for_the_end()


def stop(signum: int, frame: FrameType | None) -> None:
    raise Interrupted(f"{signal.Signals(signum).name}: ended at once.", signum)


def goes_back(stopped: Interrupted, max_requeues: int) -> bool:
    """Whether the job shall go on later: not when somebody has cancelled it, and not for ever.

    A job that is cancelled, or that SLURM itself puts back, does not count as running any more; one that has to make
    room for another does until its time of grace is over.
    """
    if stopped.signum not in SIGNALS:
        return False
    if stopped.signum == signal.SIGTERM and job_of(os.environ["SLURM_JOB_ID"]).state != "RUNNING":
        return False
    if int(os.environ.get("SLURM_RESTART_COUNT", 0)) < max_requeues:
        return True
    print(f"the job has been in the queue {max_requeues + 1} times (launcher.max_requeues): it ends here.", flush=True)
    return False


def requeue() -> None:
    job = os.environ["SLURM_JOB_ID"]
    print(f"job {job} goes back into the queue.", flush=True)
    done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    if done.returncode:
        # A job that SLURM itself puts back meanwhile cannot be put back twice.
        print(f"scontrol requeue {job}: {done.stderr.strip()}", flush=True)


def wait_for_the_end() -> None:
    """SLURM ends all tasks of the job; one that left before would look like a failure."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_DFL)
    time.sleep(END_WAIT_S)
