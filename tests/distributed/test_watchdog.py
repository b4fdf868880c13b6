"""Which rank hangs, when all of them stand still."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from runner.distributed.failure import Failure, clear_failures, first_failure, read_failures, write_failure
from runner.distributed.heartbeat import Heartbeat, read_heartbeats
from runner.distributed.process_info import ProcessInfo
from runner.distributed.watchdog import Watchdog, hanging, main_stack
from runner.run.directory import RunDir

NOW = 1000.0


def heartbeat(rank: int, count: int, phase: str, since: float = 0.0, **rest) -> Heartbeat:
    return Heartbeat(rank=rank, count=count, phase=phase, since=since, **rest)


@pytest.fixture
def run(tmp_path) -> RunDir:
    (tmp_path / "logs").mkdir()
    return RunDir(tmp_path)


def test_rank_that_blocks_the_others_is_named() -> None:
    heartbeats = [
        heartbeat(0, 8, "backward pass"),
        heartbeat(1, 8, "forward pass"),
        heartbeat(2, 8, "backward pass"),
    ]
    assert hanging(heartbeats, 30, NOW).rank == 1
    assert hanging([heartbeat(0, 8, "backward pass"), heartbeat(1, 7, "fetching a batch")], 30, NOW).rank == 1
    assert hanging([heartbeat(0, 8, "evaluating"), heartbeat(1, 9, "computing metrics")], 30, NOW).rank == 0


def test_slow_rank_is_not_reported_as_hung() -> None:
    assert hanging([heartbeat(0, 8, "forward pass", NOW - 29)], 30, NOW) is None
    assert hanging([heartbeat(0, 8, "forward pass", NOW - 90, longest_s=10)], 30, NOW) is None
    assert hanging([heartbeat(0, 8, "forward pass", NOW - 101, longest_s=10)], 30, NOW).rank == 0
    assert hanging([heartbeat(0, 1, "forward pass", NOW - 200)], 30, NOW) is None, (
        "the first batches take longer"
    )
    assert hanging([heartbeat(0, 8, "saving", NOW - 200)], 30, NOW) is None
    assert hanging([heartbeat(0, 8, "idle", 0.0)], 30, NOW) is None


def test_heartbeat_round_trip(run: RunDir) -> None:
    written = Heartbeat.of(ProcessInfo(rank=1, world_size=2, restart=1))
    written.beat("forward pass", begins_batch=True)
    written.write(run)
    assert list(read_heartbeats(run)) == [written] == list(read_heartbeats(run, restart=1))
    assert list(read_heartbeats(run, restart=0)) == []


def test_hung_process_is_terminated_and_its_stack_saved(run: RunDir) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from runner.distributed.process_info import ProcessInfo\n"
        "from runner.distributed.watchdog import watched\n"
        "from runner.run.directory import RunDir\n"
        "def asleep():\n    time.sleep(100)\n"
        "with watched(RunDir(Path(sys.argv[1])), ProcessInfo(1, 2, 1, 2, 0, True), None) as pulse:\n"
        "    [pulse.beat('forward pass', begins_batch=True) for _ in range(4)]\n"
        "    asleep()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(run.path)])
    try:
        until = time.monotonic() + 60
        while not any(p.count == 4 for p in read_heartbeats(run)):
            assert time.monotonic() < until
            time.sleep(0.1)
        mine = Heartbeat.of(ProcessInfo(0, 2, 0, 2, 0, True))
        mine.write(run)
        time.sleep(1)
        Watchdog(run, ProcessInfo(0, 2, 0, 2, 0, True), mine, hang_after_s=0.5).end_hung_rank()
        assert child.wait(timeout=10) == -9
    finally:
        child.kill()
    (failure,) = read_failures(run)
    assert (failure.rank, failure.kind) == (1, "hung")
    assert "rank 1" in failure.message and "forward pass" in failure.message and "in asleep" in failure.stack


def test_stale_heartbeat_of_an_earlier_attempt_is_ignored(run: RunDir) -> None:
    """Its process is gone, and its number may be another process's by now."""
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    try:
        heartbeat(1, 8, "forward pass", host=socket.gethostname(), pid=other.pid, pid_started_at=1.0).write(
            run
        )
        mine = Heartbeat.of(ProcessInfo(0, 2, 0, 2, 0, True))
        mine.write(run)
        Watchdog(run, ProcessInfo(0, 2, 0, 2, 0, True), mine, hang_after_s=0.5).end_hung_rank()
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=1)
    finally:
        other.kill()
    assert list(read_failures(run)) == []


def test_stack_of_the_main_thread_is_found() -> None:
    dump = (
        "Thread 0x1 (most recent call first):\n  File a\n\nCurrent thread 0x2 (most recent call "
        "first):\n  File b\n  File c\n"
    )
    assert main_stack(dump) == "  File b\n  File c"


def test_root_cause_of_several_failures_is_reported(run: RunDir) -> None:
    write_failure(run, Failure(0, "left", "Connection closed by peer", time=1.0))
    write_failure(run, Failure(1, "killed", "rank 1 was ended by SIGKILL", time=2.0))
    assert first_failure(list(read_failures(run))).rank == 1
    write_failure(run, Failure(2, "mistake", "no such folder", time=3.0))
    assert first_failure(list(read_failures(run))).rank == 2
    clear_failures(run)
    assert first_failure(list(read_failures(run))) is None
