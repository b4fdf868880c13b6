"""Executes a trial on several devices: the trial's process forks one process for each rank.

This needs neither an import nor an elastic agent. A rank that fails ends the others; the sweep, which
supervises all trials, restarts the trial.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial

from runner.distributed.failure import clear_failures
from runner.distributed.process_group import process_group_member
from runner.distributed.process_info import ProcessInfo
from runner.errors import ControlSignal, Pruned, RunnerError
from runner.launch.elastic import error_of
from runner.run.directory import RunDir
from runner.run.status import read_status
from runner.sweep.executors.child_processes import fork_child

__all__ = ["execute_ranks"]

FAILURE_GRACE_S = 20.0
"""Seconds that ranks have to detect and report the loss of another rank."""
POLL_INTERVAL_S = 0.05
SIGNALS = (signal.SIGTERM, signal.SIGINT)

Work = Callable[[bool], None]


def execute_ranks(run: RunDir, num_ranks: int, work: Work, channel: int) -> None:
    """Execute a run with several ranks on this machine.

    Args:
        run: the run to execute.
        num_ranks: number of ranks.
        work: executes the run as one of its ranks; its argument is whether the rank reports to the sweep.
        channel: descriptor of the channel to the sweep, kept open in the first rank.

    Raises:
        RunnerError: the ranks failed; the status records the same reason.
    """
    clear_failures(run)
    for heartbeat in run.logs.glob("rank*.pulse.json"):
        heartbeat.unlink()
    port, ranks = free_port(), {}
    for rank in range(num_ranks):
        keep = [channel] if rank == 0 else []
        child = fork_child(partial(become_rank, run, rank, num_ranks, port, work), keep, output=None)
        ranks[child.pid] = rank
    statuses, signum = wait_for_all(ranks)
    killed = [-status for status in statuses.values() if status < 0]
    if killed and signum is None and read_status(run).state != "finished":
        os.kill(os.getpid(), max(killed, key=lambda number: number != signal.SIGKILL))
    finish(run, statuses, signum)


def finish(run: RunDir, statuses: dict[int, int], signum: int | None) -> None:
    """Raise the error that ended the ranks, if any."""
    status = read_status(run)
    if any(statuses.values()) or status.state not in ("finished", "pruned"):
        raise error_of(run, signum)
    if status.state == "pruned":
        raise Pruned(status.reason or "pruned")


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
    """Wait until all ranks have ended; signals that this process receives are forwarded to them.

    Args:
        ranks: process id → rank.

    Returns:
        Exit codes by rank, without those of ranks that were killed here; and the first received signal.
    """
    received: list[int] = []

    def forward(signum: int, _frame: object) -> None:
        received.append(signum)
        for pid in running:
            os.kill(pid, signum)

    running, until = set(ranks), float("inf")
    statuses: dict[int, int] = {}
    for signum in SIGNALS:
        signal.signal(signum, forward)
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in running:
            running.discard(pid)
            code = os.waitstatus_to_exitcode(status)
            if until < float("inf") and time.monotonic() > until:
                continue  # it was killed here
            statuses[ranks[pid]] = code
            if code and running and not received:
                until = min(until, time.monotonic() + FAILURE_GRACE_S)
        elif time.monotonic() > until:
            for other in running:
                os.kill(other, signal.SIGKILL)
            time.sleep(POLL_INTERVAL_S)
        elif not pid:
            time.sleep(POLL_INTERVAL_S)
    return statuses, received[0] if received else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
