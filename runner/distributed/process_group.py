"""Joins this process to the ranks of a run, and records the reason if it fails."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from runner.distributed.failure import Failure, first_failure, read_failures, write_failure
from runner.distributed.heartbeat import heartbeat_path
from runner.distributed.parent_death import die_with_parent
from runner.distributed.process_info import ProcessInfo
from runner.distributed.rank_rendezvous import prepare_store
from runner.errors import (
    ControlSignal,
    Interrupted,
    NonFiniteLossError,
    OutOfTime,
    RunFailedError,
    RunnerError,
    UserError,
)
from runner.run.directory import RunDir
from runner.run.files import read_json

__all__ = ["process_group_member"]

FAILURE_GRACE_S = 3.0
"""Time rank 0 waits for the failure record of another rank."""

LOST_OTHERS = (
    "Connection closed by peer",
    "Connection reset by peer",
    "NCCL",
    "Gloo",
    "gloo",
    "Timed out waiting",
)
"""Parts of the messages raised by torch 2.15 in a rank whose peer has ended."""


@contextmanager
def process_group_member(run: RunDir, process_info: ProcessInfo) -> Iterator[None]:
    """Context manager for the work of one of several ranks; does nothing for a single process.

    Raises:
        RunFailedError: on rank 0, if it lost its connection because another rank failed.
    """
    if not process_info.under_agent:
        yield
        return
    if process_info.started_by != "srun":  # SLURM itself ends the remaining processes of a step
        die_with_parent()
    prepare_store(process_info)
    run.logs.mkdir(exist_ok=True)
    if not process_info.is_first:
        redirect_output_to_log(run, process_info)
    began_at = time.time()
    try:
        yield
    except OutOfTime as error:
        write_failure(run, Failure(process_info.rank, "time", str(error), error.exit_code))
        raise
    except Interrupted:
        raise
    except BaseException as error:
        failure = failure_of(run, process_info, error)
        write_failure(run, failure)
        if (
            process_info.is_first
            and failure.kind == "left"
            and (other := failure_of_other_rank(run, began_at))
        ):
            raise RunFailedError(f"{other.message}\nIts log: {run.logs / f'rank{other.rank}.log'}") from error
        if not isinstance(error, RunnerError | ControlSignal):
            traceback.print_exc()
        raise


def failure_of_other_rank(run: RunDir, since: float) -> Failure | None:
    """Wait for the failure of the rank to which this one lost its connection.

    Args:
        run: run directory.
        since: Unix time in seconds; earlier failures are ignored.

    Returns:
        None if no failure is recorded in time.
    """
    until = time.monotonic() + FAILURE_GRACE_S
    while time.monotonic() < until:
        time.sleep(0.2)
        failures = [f for f in read_failures(run) if f.time > since and f.kind != "left"]
        if failures:
            return first_failure(failures)
    return None


def redirect_output_to_log(run: RunDir, process_info: ProcessInfo) -> None:
    """Redirect stdout and stderr of a rank other than 0 to its log; only rank 0 prints to the console."""
    with open(run.logs / f"rank{process_info.rank}.log", "ab") as file:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)


def failure_of(run: RunDir, process_info: ProcessInfo, error: BaseException) -> Failure:
    """Describe the error that ended this rank."""
    step = read_json(heartbeat_path(run, process_info.rank), {}).get("step", 0)
    if isinstance(error, UserError):
        return Failure(process_info.rank, "mistake", str(error), error.exit_code, step)
    if isinstance(error, RunFailedError):
        kind = "final" if isinstance(error, NonFiniteLossError) else "error"
        return Failure(process_info.rank, kind, f"{error} (rank {process_info.rank})", error.exit_code, step)
    kind = "left" if any(word in str(error) for word in LOST_OTHERS) else "error"
    stack = "".join(traceback.format_tb(error.__traceback__)[-8:]).rstrip()
    message = f"rank {process_info.rank} failed at step {step}: {type(error).__name__}: {error}"
    return Failure(process_info.rank, kind, message, 1, step, stack)
