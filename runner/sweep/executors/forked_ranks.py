"""A trial of several devices: a process for each, forked like the trial itself, with no import and no agent
between.

A rank that ends early ends the others; the sweep, which supervises all trials, restarts the trial.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable

from runner.distributed.failure import clear_failures
from runner.distributed.process_group import process_group_member
from runner.distributed.process_info import ProcessInfo
from runner.errors import ControlSignal, Pruned, RunnerError
from runner.launch.elastic import reason_of
from runner.run.directory import RunDir
from runner.run.status import read_status
from runner.sweep.executors.child_processes import fork_child

__all__ = ["execute_ranks"]

FAILURE_GRACE_S = 20.0
"""How long ranks that lost another one have to notice it, and to say so."""
POLL_INTERVAL_S = 0.05
SIGNALS = (signal.SIGTERM, signal.SIGINT)

Work = Callable[[bool], None]


def execute_ranks(run: RunDir, num_ranks: int, work: Work, channel: int) -> None:
    """
    Args:
        work: executes the run, as one of its ranks; whether it is the first, which reports, is its argument.
        channel: the descriptor through which it does.

    Raises:
        RunnerError: what ended the ranks before their time; the status says the same.
    """
    clear_failures(run)
    for leftover in run.logs.glob("rank*.pulse.json"):
        leftover.unlink()
    port, ranks = free_port(), {}
    for rank in range(num_ranks):
        keep = [channel] if rank == 0 else []
        child = fork_child(lambda rank=rank: become_rank(run, rank, num_ranks, port, work), keep, output=None)
        ranks[child.pid] = rank
    statuses, signum = wait_for_all(ranks)
    killed = [-status for status in statuses.values() if status < 0]
    if killed and signum is None and read_status(run).state != "finished":
        os.kill(os.getpid(), max(killed, key=lambda number: number != signal.SIGKILL))
    finish(run, statuses, signum)


def finish(run: RunDir, statuses: dict[int, int], signum: int | None) -> None:
    state = read_status(run)
    if any(statuses.values()) or state.state not in ("finished", "pruned"):
        raise reason_of(run, signum)
    if state.state == "pruned":
        raise Pruned(state.reason or "pruned")


def become_rank(run: RunDir, rank: int, num_ranks: int, port: int, work: Work) -> int:
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_DFL)
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(num_ranks),
        "LOCAL_WORLD_SIZE": str(num_ranks),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
    }
    try:
        with process_group_member(run, ProcessInfo.here()):
            try:
                work(rank == 0)
            except Pruned as pruned:
                print(pruned, file=sys.stderr)
    except (RunnerError, ControlSignal) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def wait_for_all(ranks: dict[int, int]) -> tuple[dict[int, int], int | None]:
    """Exit codes by rank, those of ranks that had to be ended left out; and the signal that asked them to
    leave.
    """
    came: list[int] = []

    def pass_on(signum: int, _frame: object) -> None:
        came.append(signum)
        for pid in left:
            os.kill(pid, signum)

    left, statuses, until = set(ranks), {}, float("inf")
    for signum in SIGNALS:
        signal.signal(signum, pass_on)
    while left:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in left:
            left.discard(pid)
            code = os.waitstatus_to_exitcode(status)
            if until < float("inf") and time.monotonic() > until:
                continue  # it was ended from here
            statuses[ranks[pid]] = code
            if code and left and not came:
                until = min(until, time.monotonic() + FAILURE_GRACE_S)
        elif time.monotonic() > until:
            for other in left:
                os.kill(other, signal.SIGKILL)
            time.sleep(POLL_INTERVAL_S)
        elif not pid:
            time.sleep(POLL_INTERVAL_S)
    return statuses, came[0] if came else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
