"""The process beside a run that mirrors it: ``python -m runner.tracking.sidecar RUN_DIR --worker PID``.

Its standard input is a pipe from the worker, whose end says that the worker has written its last word or is
dead. The process lives until all of the run is in the store, so it outlives a worker that is killed.
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

PASS_EVERY_S = 2.0
POLL_INTERVAL_S = 0.2
MAX_PAUSE_S = 30.0
GIVE_UP_S = 1800.0  # after the end of the run; `runner sync` sends the rest

log = logging.getLogger("runner.tracking")


class Sidecar:
    """
    Args:
        worker_pid: the process that executes the run.
        on_end: called once, when the run has ended and before its last pass.
    """

    def __init__(self, run: RunDir, worker_pid: int, on_end: Callable[[], None] = lambda: None) -> None:
        self.run = run
        self.on_end = on_end
        try:
            self.worker = psutil.Process(worker_pid)
        except psutil.NoSuchProcess:
            self.worker = None
        self.claim = run.path / ".sidecar"
        self.pause_s = PASS_EVERY_S

    def main(self) -> int:
        """Returns 0 once all is in the store, 1 when it gave up on it.

        A run appears in the store with its first metric or checkpoint, or when it has ended: one that is
            rejected
        before leaves nothing there.
        """
        write_text(self.claim, str(os.getpid()))
        mirror = FoldsMirror(self.run) if has_folds(self.run) else Mirror(self.run)
        ended_at, is_shown = None, False
        while True:
            if not self.is_in_charge():
                log.info("another process has taken over")
                return 0
            if ended_at is None and self.has_ended():
                ended_at = time.monotonic()
                self.on_end()
                self.pause_s = PASS_EVERY_S
            is_shown = is_shown or ended_at is not None or has_trained(self.run)
            if not is_shown:
                self.wait(has_ended=False)
                continue
            if self.pass_once(mirror, final=ended_at is not None) and ended_at is not None:
                return 0
            if ended_at is not None and time.monotonic() - ended_at > GIVE_UP_S:
                log.warning("given up; `runner sync %s` sends the rest", self.run.name)
                return 1
            self.wait(has_ended=ended_at is not None)

    def pass_once(self, mirror: Mirror | FoldsMirror, final: bool) -> bool:
        """One pass; True if everything has been sent. A pass that sent nothing lengthens the pause after
        it.
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
        is_well = error is None or is_progress
        self.pause_s = PASS_EVERY_S if is_well else min(2 * self.pause_s, MAX_PAUSE_S)
        return error is None

    def has_ended(self) -> bool:
        """Whether the worker has closed the pipe. A process forked from it may hold the pipe open longer."""
        if self.worker is None or not self.worker.is_running():
            return True
        readable, _, _ = select.select([0], [], [], 0)
        return bool(readable) and os.read(0, 1024) == b""

    def is_in_charge(self) -> bool:
        """A resumed run starts a mirror of its own; the older one leaves."""
        try:
            return self.claim.read_text() == str(os.getpid())
        except OSError:
            return False

    def wait(self, has_ended: bool) -> None:
        """Until the next pass is due; shorter when the run ends meanwhile."""
        until = time.monotonic() + self.pause_s
        while time.monotonic() < until:
            time.sleep(POLL_INTERVAL_S)
            if not has_ended and self.has_ended():
                return


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m runner.tracking.sidecar", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--worker", type=int, required=True, metavar="PID")
    given = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # of a failure it is enough to read once
    use_environment()
    os.nice(10)  # training comes first
    run = RunDir(given.run_dir.absolute())
    settings = read_settings(run)
    on_end = start_sampler(run, given.worker) if settings.system_metrics else lambda: None
    sidecar = Sidecar(run, given.worker, on_end)
    # A scheduler signals a whole job at once: as long as the worker saves its state, the mirror stays.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143) if sidecar.has_ended() else None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = sidecar.main()
    if code == 0 and settings.log_model and sidecar.is_in_charge():
        from runner.tracking.model import log_model

        log.info("model: %s", log_model(run))
    return code


def start_sampler(run: RunDir, worker_pid: int) -> Callable[[], None]:
    """Samples the machine from now on; returns what stops it."""
    from runner.tracking.system import SystemSampler

    sampler = SystemSampler(run.logs / "system.jsonl", worker_pid)
    sampler.start()
    return sampler.stop


if __name__ == "__main__":
    sys.exit(main())
