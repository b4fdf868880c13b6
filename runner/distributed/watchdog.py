"""Watchdog thread of a rank: writes its heartbeat and ends a hung rank, its own or another."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from runner.distributed.failure import Failure, read_failures, write_failure
from runner.distributed.heartbeat import Heartbeat, read_heartbeats, stack_path
from runner.distributed.process_info import ProcessInfo
from runner.run.directory import RunDir

__all__ = ["Watchdog", "allowed_s", "hanging", "watched"]

WRITE_EVERY_S = 1.0
STACK_WAIT_S = 3.0
LEAVE_AFTER_S = 15.0
"""Time for a rank to notice the failure of another by itself."""
HANG_FACTOR = 10.0
"""A batch is considered hung after this multiple of the longest duration so far."""

NUM_FRAMES = 25

log = logging.getLogger("runner.watchdog")


class Watchdog(threading.Thread):
    """Writes a heartbeat every second and checks all ranks.

    Args:
        run: run directory.
        process_info: rank of this process.
        heartbeat: its heartbeat.
        hang_after_s: minimum duration in seconds after which a batch is considered hung, unless ten times the
            longest batch so far is more; None disables the check.
    """

    def __init__(
        self, run: RunDir, process_info: ProcessInfo, heartbeat: Heartbeat, hang_after_s: float | None
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self.run_dir = run
        self.process_info = process_info
        self.heartbeat = heartbeat
        self.hang_after_s = hang_after_s
        self.began_at = time.time()
        self.alone_since: float | None = None
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        self.join(timeout=5)

    def run(self) -> None:
        while not self._stopping.wait(WRITE_EVERY_S):
            try:
                self.heartbeat.write(self.run_dir)
                self.end_hung_rank()
                self.exit_after_failure()
            except OSError as error:
                log.warning("the heartbeat cannot be written or read: %s", error)

    def end_hung_rank(self) -> None:
        """End a rank that hangs, if this rank is responsible for it."""
        if self.hang_after_s is None:
            return
        heartbeats = [
            heartbeat
            for heartbeat in read_heartbeats(self.run_dir, self.process_info.restart)
            # Without an elastic agent, files of an earlier attempt remain.
            if heartbeat.rank < self.process_info.world_size and not heartbeat.is_left_over
        ]
        hung = hanging(heartbeats, self.hang_after_s, time.time())
        if hung is not None and self.is_responsible_for(hung, heartbeats):
            self.end(hung)

    def exit_after_failure(self) -> None:
        """End this rank after another has failed, if no elastic agent does so."""
        if self.process_info.started_by not in ("srun", "environment") or self.process_info.world_size == 1:
            return
        failed = [
            failure
            for failure in read_failures(self.run_dir)
            if failure.rank != self.process_info.rank and failure.time > self.began_at
        ]
        if not failed:
            return
        self.alone_since = self.alone_since or time.monotonic()
        if time.monotonic() - self.alone_since > LEAVE_AFTER_S:
            log.error(
                "rank %d has failed, and this rank would wait for it: %s", failed[0].rank, failed[0].message
            )
            os._exit(1)

    def is_responsible_for(self, hung: Heartbeat, heartbeats: list[Heartbeat]) -> bool:
        """Return whether this rank must end the hung one.

        The lowest other rank on the same machine is responsible, or the hung rank itself if it is the only
        one there.
        """
        neighbours = [p.rank for p in heartbeats if p.host == hung.host and p.rank != hung.rank]
        return self.process_info.rank == min(neighbours, default=hung.rank)

    def end(self, hung: Heartbeat) -> None:
        """Record the failure of a hung rank, with its stack, and kill it."""
        waited = time.time() - hung.since
        stack = self.stack_of(hung)
        message = (
            f"rank {hung.rank} (process {hung.pid}) hangs: no progress for {waited:.0f} s "
            f"({hung.phase}, step {hung.step}, epoch {hung.epoch})."
        )
        log.error("%s It is ended now.\n%s", message, stack)
        write_failure(self.run_dir, Failure(hung.rank, "hung", message, step=hung.step, stack=stack))
        os.kill(hung.pid, signal.SIGKILL)
        time.sleep(STACK_WAIT_S)  # the agent ends this process too

    def stack_of(self, hung: Heartbeat) -> str:
        """Make a rank write its stack, and return it."""
        path = stack_path(self.run_dir, hung.rank)
        old_size = path.stat().st_size if path.exists() else 0
        os.kill(hung.pid, signal.SIGUSR2)
        until = time.monotonic() + STACK_WAIT_S
        while time.monotonic() < until:
            time.sleep(0.2)
            if path.exists() and path.stat().st_size > old_size:
                time.sleep(0.2)
                return main_stack(path.read_text(encoding="utf-8", errors="replace")[old_size:])
        return "(no stack: the process did not respond to SIGUSR2; it may be stopped or blocked on I/O)"


def allowed_s(heartbeat: Heartbeat, hang_after_s: float) -> float:
    """Return the maximum duration of the current phase of a rank, in seconds."""
    if heartbeat.phase == "idle":
        return float("inf")
    usual = max(hang_after_s, HANG_FACTOR * heartbeat.longest_s)
    is_warm = heartbeat.count > 2 and heartbeat.phase not in ("saving", "computing metrics")
    return usual if is_warm else HANG_FACTOR * usual


def hanging(heartbeats: list[Heartbeat], hang_after_s: float, now: float) -> Heartbeat | None:
    """Return the rank that the others wait for, if a rank has made no progress for too long."""
    if not any(now - heartbeat.since > allowed_s(heartbeat, hang_after_s) for heartbeat in heartbeats):
        return None
    busy = [heartbeat for heartbeat in heartbeats if heartbeat.phase != "idle"]
    return min(busy, key=lambda heartbeat: heartbeat.progress)


def main_stack(dump: str) -> str:
    """Extract the stack of the main thread from a dump of all threads."""
    _, _, current = dump.partition("Current thread")
    return "\n".join(line for line in current.partition("\n\n")[0].splitlines()[1:][:NUM_FRAMES])


@contextmanager
def watched(run: RunDir, process_info: ProcessInfo, hang_after_s: float | None) -> Iterator[Heartbeat]:
    """Run a watchdog during the work of a rank, and yield its heartbeat.

    A single process has no watchdog, since no other rank waits for it.

    Args:
        run: run directory.
        process_info: rank of this process.
        hang_after_s: see `Watchdog`.
    """
    heartbeat = Heartbeat.of(process_info)
    if not process_info.under_agent:
        yield heartbeat
        return
    with open(stack_path(run, process_info.rank), "a", encoding="utf-8") as file:
        faulthandler.enable(file)
        faulthandler.register(signal.SIGUSR2, file)
        heartbeat.write(run)
        watchdog = Watchdog(run, process_info, heartbeat, hang_after_s)
        watchdog.start()
        try:
            yield heartbeat
        finally:
            watchdog.stop()
            with suppress(OSError):
                heartbeat.write(run)  # so that a failure is reported with the last step
            faulthandler.unregister(signal.SIGUSR2)
            faulthandler.enable()
