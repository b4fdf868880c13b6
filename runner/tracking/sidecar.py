"""The process that mirrors a run: ``python -m runner.tracking.sidecar RUN_DIR --worker PID``.

Its standard input is a pipe from the worker, which is closed when the worker has written the final status or
is dead. The process runs until the run is completely in the store, so it outlives a worker that is killed.
"""

from __future__ import annotations

import argparse
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from runner.run.directory import RunDir
from runner.run.files import write_text
from runner.run.folds import has_folds
from runner.run.status import has_trained
from runner.tracking.child_runs import FoldsMirror
from runner.tracking.mirror import Mirror
from runner.tracking.settings import read_settings
from runner.tracking.store import use_environment

__all__ = ["Sidecar", "main"]

PASS_INTERVAL_S = 2.0
POLL_INTERVAL_S = 0.2
MAX_PAUSE_S = 30.0
GIVE_UP_S = 1800.0  # after the end of the run; `runner sync` sends the rest

log = logging.getLogger("runner.tracking")


class Sidecar:
    """Mirrors a run in passes until it is completely in the store.

    Args:
        run: the run.
        worker_pid: id of the process that executes the run.
        on_end: called once, when the run has ended and before the last pass.
    """

    def __init__(self, run: RunDir, worker_pid: int, on_end: Callable[[], None] = lambda: None) -> None:
        self.run = run
        self.on_end = on_end
        self.worker: psutil.Process | None = None
        with suppress(psutil.NoSuchProcess):
            self.worker = psutil.Process(worker_pid)
        self.claim = run.path / ".sidecar"
        self.pause_s = PASS_INTERVAL_S

    def main(self) -> int:
        """Mirror until everything is in the store; return 0, or 1 after giving up.

        A run appears in the store with its first metric or checkpoint, or when it has ended. A run that is
        rejected before leaves nothing in the store.
        """
        write_text(self.claim, str(os.getpid()))
        mirror = FoldsMirror(self.run) if has_folds(self.run) else Mirror(self.run)
        ended_at: float | None = None
        is_shown = False
        while True:
            if not self.is_current():
                log.info("another process has taken over")
                return 0
            if ended_at is None and self.has_ended():
                ended_at = time.monotonic()
                self.on_end()
                self.pause_s = PASS_INTERVAL_S
            is_shown = is_shown or ended_at is not None or has_trained(self.run)
            if not is_shown:
                self.wait(has_ended=False)
                continue
            if self.pass_once(mirror, final=ended_at is not None) and ended_at is not None:
                return 0
            if ended_at is not None and time.monotonic() - ended_at > GIVE_UP_S:
                log.warning("gave up; `runner sync %s` sends the rest", self.run.name)
                return 1
            self.wait(has_ended=ended_at is not None)

    def pass_once(self, mirror: Mirror | FoldsMirror, final: bool) -> bool:
        """Execute one pass, and lengthen the pause after a pass that failed and sent nothing.

        Args:
            mirror: the mirror of the run.
            final: whether the run has ended.

        Returns:
            Whether everything was sent.
        """
        try:
            report = mirror.sync(final)
            error, is_progress = report.error, report.points > 0
            for refused in report.refused:
                log.warning("refused: %s", refused)
        except Exception as unexpected:  # the mirror must survive any error of a store
            log.exception("unexpected")
            error, is_progress = str(unexpected), False
        if error is not None:
            log.warning("not sent: %s", error)
        is_working = error is None or is_progress
        self.pause_s = PASS_INTERVAL_S if is_working else min(2 * self.pause_s, MAX_PAUSE_S)
        return error is None

    def has_ended(self) -> bool:
        """Return whether the worker has closed the pipe or is dead.

        A process forked from the worker may keep the pipe open after its death.
        """
        if self.worker is None or not self.worker.is_running():
            return True
        readable, _, _ = select.select([0], [], [], 0)
        return bool(readable) and os.read(0, 1024) == b""

    def is_current(self) -> bool:
        """Return whether this is the newest mirror of the run; a resumed run starts another one."""
        try:
            return self.claim.read_text() == str(os.getpid())
        except OSError:
            return False

    def wait(self, has_ended: bool) -> None:
        """Wait until the next pass is due, or until the run ends."""
        until = time.monotonic() + self.pause_s
        while time.monotonic() < until:
            time.sleep(POLL_INTERVAL_S)
            if not has_ended and self.has_ended():
                return


def main(arguments: list[str] | None = None) -> int:
    """Mirror the run given by the arguments; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m runner.tracking.sidecar", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--worker", type=int, required=True, metavar="PID")
    given = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # failures are logged once, by the mirror
    use_environment()
    os.nice(10)  # training has priority
    run = RunDir(given.run_dir.absolute())
    settings = read_settings(run)
    on_end = start_sampler(run, given.worker) if settings.system_metrics else lambda: None
    sidecar = Sidecar(run, given.worker, on_end)
    # A scheduler signals all processes of a job at once, and the worker may still be saving its state.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143) if sidecar.has_ended() else None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = sidecar.main()
    if code == 0 and settings.log_model and sidecar.is_current():
        from runner.tracking.model import log_model

        log.info("model: %s", log_model(run))
    return code


def start_sampler(run: RunDir, worker_pid: int) -> Callable[[], None]:
    """Start to sample system metrics; return a function that stops it."""
    from runner.tracking.system import SystemSampler

    sampler = SystemSampler(run.logs / "system.jsonl", worker_pid)
    sampler.start()
    return sampler.stop


if __name__ == "__main__":
    sys.exit(main())
