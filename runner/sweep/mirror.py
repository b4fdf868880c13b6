"""The mirror of a whole sweep in MLflow: ``python -m runner.sweep.mirror SWEEP_DIR``, one process for all trials.

A parent run holds what the sweep found, each trial is a child of it. Its standard input is a pipe from the sweep;
when that ends, what is missing is sent, and the process leaves. So it outlives a sweep that is killed, and a trial
that was killed still ends truthfully.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock

from runner.run.directory import RunDir
from runner.run.status import read_status
from runner.sweep.directory import SweepDir
from runner.sweep.mlflow_parent import ParentRun
from runner.tracking.mirror import Mirror
from runner.tracking.settings import TrackingSettings
from runner.tracking.state import read_state
from runner.tracking.store import use_environment

__all__ = ["SweepMirror", "main", "start_mirror"]

PASS_EVERY_S = 5.0
GIVE_UP_S = 600.0
NICE = 15

log = logging.getLogger("runner.sweep.mirror")


def start_mirror(sweep: SweepDir, settings: TrackingSettings) -> subprocess.Popen | None:
    """Starts the mirror as a process that survives this one; closing its ``stdin`` is the sweep's last word."""
    if not settings.enabled:
        return None
    with open(sweep.logs / "tracking.log", "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "runner.sweep.mirror", str(sweep.path)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C in the terminal is the sweep's
        )


class SweepMirror:
    """One pass after another over the trials that are not wholly in the store."""

    def __init__(self, sweep: SweepDir):
        self.sweep = sweep
        self.parent = ParentRun(sweep)

    def main(self) -> int:
        """Returns 0 once all is in the store, 1 when it gave up on it."""
        ended_at = None
        while True:
            if ended_at is None and self.has_ended(PASS_EVERY_S):
                ended_at = time.monotonic()
            complete = self.pass_once(final=ended_at is not None)
            if ended_at is not None:
                if complete:
                    return 0
                if time.monotonic() - ended_at > GIVE_UP_S:
                    log.warning("given up; `runner sync --all` sends the rest")
                    return 1
                time.sleep(PASS_EVERY_S)

    def pass_once(self, final: bool) -> bool:
        """True when all there was is in the store."""
        complete = True
        try:
            for path in sorted(self.sweep.trials.iterdir(), key=lambda trial: int(trial.name)):
                complete &= self.send(RunDir(path), final)
            self.parent.send(final)
        except Exception:  # the mirror must outlive whatever a store comes up with
            log.exception("not sent")
            return False
        return complete

    def send(self, run: RunDir, final: bool) -> bool:
        status = read_status(run)
        if not run.config_path.is_file() or status.state == "created":
            return True
        if not read_state(run).is_complete(status):
            # A killed trial of a sweep that lives is not lost: another attempt follows.
            report = Mirror(run).sync(final=final or status.state not in ("lost", "running"))
            if report.error is not None:
                log.warning("trial %s: not sent: %s", run.name, report.error)
                return False
            for refused in report.refused:
                log.warning("trial %s: refused: %s", run.name, refused)
        state = read_state(run)
        if state.run_id is not None:
            self.parent.adopt(run, state.run_id)
        return True

    def has_ended(self, timeout_s: float) -> bool:
        """Waits for the end of the sweep, at most so long."""
        readable, _, _ = select.select([0], [], [], timeout_s)
        return bool(readable) and os.read(0, 1024) == b""


def main(arguments: list[str] | None = None) -> int:
    (folder,) = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    use_environment()
    os.nice(NICE)  # the trials come first
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sweep = SweepDir(Path(folder).absolute())
    with FileLock(sweep.path / ".mirror.lock"):  # one of an earlier go at the sweep may still be at it
        return SweepMirror(sweep).main()


if __name__ == "__main__":
    sys.exit(main())
