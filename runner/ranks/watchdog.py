"""A thread beside the training of a rank: tells how far it is, and ends a rank that hangs, this one or another."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from runner.ranks.failure import Failure, read_failures, write_failure
from runner.ranks.place import Place
from runner.ranks.pulse import Pulse, read_pulses, stack_path
from runner.run.directory import RunDir

__all__ = ["Watchdog", "allowed_s", "hanging", "watched"]

WRITE_EVERY_S = 1.0
STACK_WAIT_S = 3.0
LEAVE_AFTER_S = 15.0
"""How long a rank may need to notice by itself that another has failed."""
PATIENCE = 10.0
"""How many times longer than usual something may take."""

NUM_FRAMES = 25

log = logging.getLogger("runner.watchdog")


class Watchdog(threading.Thread):
    """
    Args:
        hang_after_s: a batch may take this long, or ten times the longest one so far; None never ends a rank.
    """

    def __init__(self, run: RunDir, place: Place, pulse: Pulse, hang_after_s: float | None):
        super().__init__(name="watchdog", daemon=True)
        self.run_dir = run
        self.place = place
        self.pulse = pulse
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
                self.pulse.write(self.run_dir)
                self.look()
                self.leave_with_others()
            except OSError as error:
                log.warning("the rank's pulse cannot be written or read: %s", error)

    def look(self) -> None:
        if self.hang_after_s is None:
            return
        pulses = [p for p in read_pulses(self.run_dir, self.place.restart) if p.rank < self.place.world_size]
        pulses = [p for p in pulses if not p.is_left_over]  # where no agent has tidied up, an earlier attempt's lie there
        hung = hanging(pulses, self.hang_after_s, time.time())
        if hung is not None and self.is_to_act(hung, pulses):
            self.end(hung)

    def leave_with_others(self) -> None:
        """Where no agent ends the ranks that are left when one has failed, each of them does so itself."""
        if self.place.started_by not in ("srun", "environment") or self.place.world_size == 1:
            return
        gone = [f for f in read_failures(self.run_dir) if f.rank != self.place.rank and f.time > self.began_at]
        if not gone:
            return
        self.alone_since = self.alone_since or time.monotonic()
        if time.monotonic() - self.alone_since > LEAVE_AFTER_S:
            log.error("rank %d has failed, and this one would wait for it: %s", gone[0].rank, gone[0].message)
            os._exit(1)

    def is_to_act(self, hung: Pulse, pulses: list[Pulse]) -> bool:
        """One of its neighbours on the machine acts; where there is none, it has to do so itself."""
        neighbours = [p.rank for p in pulses if p.host == hung.host and p.rank != hung.rank]
        return self.place.rank == min(neighbours, default=hung.rank)

    def end(self, hung: Pulse) -> None:
        waited = time.time() - hung.since
        stack = self.stack_of(hung)
        message = (
            f"rank {hung.rank} (process {hung.pid}) hangs: for {waited:.0f} s it has been at the same place "
            f"({hung.phase}, step {hung.step}, epoch {hung.epoch})."
        )
        log.error("%s It is ended now.\n%s", message, stack)
        write_failure(self.run_dir, Failure(hung.rank, "hung", message, step=hung.step, stack=stack))
        os.kill(hung.pid, signal.SIGKILL)
        time.sleep(STACK_WAIT_S)  # the agent ends this process too

    def stack_of(self, hung: Pulse) -> str:
        path = stack_path(self.run_dir, hung.rank)
        before = path.stat().st_size if path.exists() else 0
        os.kill(hung.pid, signal.SIGUSR2)
        until = time.monotonic() + STACK_WAIT_S
        while time.monotonic() < until:
            time.sleep(0.2)
            if path.exists() and path.stat().st_size > before:
                time.sleep(0.2)
                return main_stack(path.read_text(encoding="utf-8", errors="replace")[before:])
        return "(it does not even answer a signal: is it stopped, or waiting for a disk?)"


def allowed_s(pulse: Pulse, hang_after_s: float) -> float:
    """How long a rank may stay where it is."""
    if pulse.phase == "idle":
        return float("inf")
    usual = max(hang_after_s, PATIENCE * pulse.longest_s)
    is_warm = pulse.count > 2 and pulse.phase not in ("saving", "computing metrics")
    return usual if is_warm else PATIENCE * usual


def hanging(pulses: list[Pulse], hang_after_s: float, now: float) -> Pulse | None:
    """The rank for which the others wait, when one has been at the same place for too long."""
    if not any(now - pulse.since > allowed_s(pulse, hang_after_s) for pulse in pulses):
        return None
    busy = [pulse for pulse in pulses if pulse.phase != "idle"]
    return min(busy, key=lambda pulse: pulse.place_in_step)


def main_stack(dump: str) -> str:
    """Of a dump of all threads, the one that was interrupted: the main thread."""
    _, _, current = dump.partition("Current thread")
    return "\n".join(line for line in current.partition("\n\n")[0].splitlines()[1:][:NUM_FRAMES])


@contextmanager
def watched(run: RunDir, place: Place, hang_after_s: float | None) -> Iterator[Pulse]:
    """Around a rank's work. Without an elastic agent nobody waits for this process, and nothing is watched."""
    pulse = Pulse.of(place)
    if not place.under_agent:
        yield pulse
        return
    with open(stack_path(run, place.rank), "a", encoding="utf-8") as file:
        faulthandler.enable(file)
        faulthandler.register(signal.SIGUSR2, file)
        pulse.write(run)
        watchdog = Watchdog(run, place, pulse, hang_after_s)
        watchdog.start()
        try:
            yield pulse
        finally:
            watchdog.stop()
            with suppress(OSError):
                pulse.write(run)  # what ends this rank is told with its last step, not with that of a second ago
            faulthandler.unregister(signal.SIGUSR2)
            faulthandler.enable()
