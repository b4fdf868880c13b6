"""A watchdog thread in every rank: writes the rank's heartbeat and ends a rank that hangs, itself or
another.
"""

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
"""How long a rank may take to notice the failure of another by itself."""
PATIENCE = 10.0
"""A batch is considered hung after this multiple of the longest duration so far."""

NUM_FRAMES = 25

log = logging.getLogger("runner.watchdog")


class Watchdog(threading.Thread):
    """Writes a heartbeat every second and looks for hung ranks.

    Args:
        hang_after_s: a batch may take this long, or ten times the longest one so far; None disables the
            check.
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
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        self._stop_asked.set()
        self.join(timeout=5)

    def run(self) -> None:
        while not self._stop_asked.wait(WRITE_EVERY_S):
            try:
                self.heartbeat.write(self.run_dir)
                self.look()
                self.leave_with_others()
            except OSError as error:
                log.warning("the heartbeat cannot be written or read: %s", error)

    def look(self) -> None:
        if self.hang_after_s is None:
            return
        heartbeats = [
            p
            for p in read_heartbeats(self.run_dir, self.process_info.restart)
            if p.rank < self.process_info.world_size
        ]
        heartbeats = [
            p for p in heartbeats if not p.is_left_over
        ]  # without an agent, files of an earlier attempt remain
        hung = hanging(heartbeats, self.hang_after_s, time.time())
        if hung is not None and self.is_to_act(hung, heartbeats):
            self.end(hung)

    def leave_with_others(self) -> None:
        """Ends this rank after another has failed, if no elastic agent does so."""
        if self.process_info.started_by not in ("srun", "environment") or self.process_info.world_size == 1:
            return
        gone = [
            f
            for f in read_failures(self.run_dir)
            if f.rank != self.process_info.rank and f.time > self.began_at
        ]
        if not gone:
            return
        self.alone_since = self.alone_since or time.monotonic()
        if time.monotonic() - self.alone_since > LEAVE_AFTER_S:
            log.error(
                "rank %d has failed, and this rank would wait for it: %s", gone[0].rank, gone[0].message
            )
            os._exit(1)

    def is_to_act(self, hung: Heartbeat, heartbeats: list[Heartbeat]) -> bool:
        """Whether this rank ends the hung one: the lowest other rank on its machine does, or the hung rank
        itself if it is alone there.
        """
        neighbours = [p.rank for p in heartbeats if p.host == hung.host and p.rank != hung.rank]
        return self.process_info.rank == min(neighbours, default=hung.rank)

    def end(self, hung: Heartbeat) -> None:
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
        path = stack_path(self.run_dir, hung.rank)
        before = path.stat().st_size if path.exists() else 0
        os.kill(hung.pid, signal.SIGUSR2)
        until = time.monotonic() + STACK_WAIT_S
        while time.monotonic() < until:
            time.sleep(0.2)
            if path.exists() and path.stat().st_size > before:
                time.sleep(0.2)
                return main_stack(path.read_text(encoding="utf-8", errors="replace")[before:])
        return "(no stack: the process did not respond to SIGUSR2; it may be stopped or blocked on I/O)"


def allowed_s(heartbeat: Heartbeat, hang_after_s: float) -> float:
    """How long a rank may stay in its current phase, in seconds."""
    if heartbeat.phase == "idle":
        return float("inf")
    usual = max(hang_after_s, PATIENCE * heartbeat.longest_s)
    is_warm = heartbeat.count > 2 and heartbeat.phase not in ("saving", "computing metrics")
    return usual if is_warm else PATIENCE * usual


def hanging(heartbeats: list[Heartbeat], hang_after_s: float, now: float) -> Heartbeat | None:
    """The rank that the others wait for, if one has made no progress for too long; otherwise None."""
    if not any(now - heartbeat.since > allowed_s(heartbeat, hang_after_s) for heartbeat in heartbeats):
        return None
    busy = [heartbeat for heartbeat in heartbeats if heartbeat.phase != "idle"]
    return min(busy, key=lambda heartbeat: heartbeat.place_in_step)


def main_stack(dump: str) -> str:
    """The main thread's stack in a dump of all threads."""
    _, _, current = dump.partition("Current thread")
    return "\n".join(line for line in current.partition("\n\n")[0].splitlines()[1:][:NUM_FRAMES])


@contextmanager
def watched(run: RunDir, process_info: ProcessInfo, hang_after_s: float | None) -> Iterator[Heartbeat]:
    """Runs the watchdog around a rank's work.

    A single process is not watched, because no other rank waits for it.
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
                heartbeat.write(
                    run
                )  # so that a failure is reported with the last step, not that of a second ago
            faulthandler.unregister(signal.SIGUSR2)
            faulthandler.enable()
