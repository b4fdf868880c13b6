"""The mirror of a whole sweep in MLflow: ``python -m runner.sweep.mirror SWEEP_DIR``, one process for all
trials.

A parent run holds what the sweep found, each trial is a child of it. Its standard input is a pipe from the
sweep; when that ends, what is missing is sent, and the process leaves. So it outlives a sweep that is killed,
and a trial that was killed still ends truthfully.
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

from filelock import FileLock, Timeout

from runner.config.tracking import Tracking
from runner.run.directory import REPEATS, RunDir
from runner.sweep.directory import SweepDir
from runner.sweep.mlflow_parent import ParentRun
from runner.tracking.child_runs import PARENT, Children
from runner.tracking.metric_tail import read_state
from runner.tracking.store import use_environment

__all__ = ["SweepMirror", "finish_mirror", "main", "start_mirror", "sync_sweep"]

PASS_EVERY_S = 5.0
POLL_INTERVAL_S = 0.2
MAX_PAUSE_S = 60.0
GIVE_UP_S = 1800.0  # after the end of the sweep; `runner sync` sends the rest
LOCK_TIMEOUT_S = 120.0
NICE = 10

log = logging.getLogger("runner.sweep.mirror")


def start_mirror(sweep: SweepDir, settings: Tracking) -> subprocess.Popen | None:
    """Starts the mirror as a process that survives this one; closing its ``stdin`` is the sweep's last
    word.
    """
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


def finish_mirror(sweep: SweepDir, mirror: subprocess.Popen, wait_s: float) -> str:
    """Waits for the mirror to send the rest; after that it continues in the background and then renders the
    report.

    Returns:
        A sentence for the user.
    """
    mirror.stdin.close()
    until = time.monotonic() + wait_s
    while mirror.poll() is None and time.monotonic() < until and not ParentRun(sweep).has_ended():
        time.sleep(POLL_INTERVAL_S)
    if ParentRun(sweep).has_ended() or mirror.poll() == 0:
        return "all trials are in MLflow: `runner ui` shows them"
    if mirror.poll() is None:
        return "not all in MLflow yet: the mirror continues in the background"
    return f"not all in MLflow: see {sweep.logs / 'tracking.log'}; `runner sync {sweep.name}` sends the rest"


def sync_sweep(sweep: SweepDir, uri: str | None = None, with_model: bool = True) -> tuple[str, bool]:
    """Sends what the store lacks of a sweep and all its trials.

    Returns:
        A sentence for the user, and whether all there is was sent.
    """
    use_environment()
    try:
        with FileLock(sweep.path / ".mirror.lock", timeout=LOCK_TIMEOUT_S):
            mirror = SweepMirror(sweep, uri)
            complete = mirror.pass_once(final=True)
            if complete:
                mirror.parent.send_page()
                if with_model:
                    mirror.parent.log_best_model()
    except Timeout:
        return f"{sweep.name}: another process is mirroring this sweep just now; try again later", False
    num = len(numbered(sweep.trials))
    if mirror.errors:
        return f"{sweep.name}: stopped: {mirror.errors[-1]}", False
    rest = "" if complete else " · not all have ended"
    return f"{sweep.name}: {num} trials · {mirror.parent.status} · {mirror.parent.entry.uri}{rest}", True


class SweepMirror:
    """One pass after another over the trials that are not wholly in the store.

    Args:
        uri: mirror to this store from now on; None is the one of the config.

    Attributes:
        errors: of the last pass.
    """

    def __init__(self, sweep: SweepDir, uri: str | None = None) -> None:
        self.sweep = sweep
        self.uri = uri
        self.parent = ParentRun(sweep, uri)
        self.children = Children(uri, self.tags_of)
        self.errors: list[str] = []

    def main(self) -> int:
        """Returns 0 once all is in the store, 1 when it gave up on it."""
        ended_at, pause_s = None, PASS_EVERY_S
        while True:
            if ended_at is None and self.has_ended(pause_s):
                ended_at = time.monotonic()
            if ended_at is not None and self.parent.is_taken_over():
                log.info("the sweep was resumed: its own mirror takes over")
                return 0
            complete = self.pass_once(final=ended_at is not None)
            pause_s = PASS_EVERY_S if not self.errors else min(2 * pause_s, MAX_PAUSE_S)
            if ended_at is None:
                continue
            if complete:
                self.parent.send_page()
                self.parent.log_best_model()
                return 0
            if time.monotonic() - ended_at > GIVE_UP_S:
                log.warning("given up; `runner sync %s` sends the rest", self.sweep.name)
                return 1
            time.sleep(1.0 if not self.errors else pause_s)

    def pass_once(self, final: bool) -> bool:
        """Sends what there is. True when all trials have ended and all of them is in the store.

        Args:
            final: the sweep's process has gone: nothing follows on what is there.
        """
        self.errors = []
        try:
            self.parent.open()
            complete = self.children.send(self.runs(), final)
            self.errors = self.children.errors
            if not self.errors:
                self.parent.send(final and complete)
        except Exception as error:  # the mirror must survive any error of a store
            log.exception("not sent")
            self.errors.append(str(error).strip() or type(error).__name__)
        return not self.errors and complete

    def runs(self) -> list[RunDir]:
        """Each trial, followed by the runs of its other seeds."""
        found = []
        for trial in numbered(self.sweep.trials):
            found += [RunDir(trial), *map(RunDir, numbered(trial / REPEATS))]
        return found

    def tags_of(self, run: RunDir) -> dict[str, str]:
        tags = {"runner.sweep": self.sweep.name}
        if run.path.parent.name != REPEATS:
            return tags | {PARENT: self.parent.run_id, "runner.trial": run.path.name}
        trial = read_state(RunDir(run.path.parents[1])).run_id
        return tags | ({PARENT: trial} if trial else {})

    def has_ended(self, timeout_s: float) -> bool:
        """Waits for the end of the sweep, at most so long."""
        readable, _, _ = select.select([0], [], [], timeout_s)
        return bool(readable) and os.read(0, 1024) == b""


def numbered(folder: Path) -> list[Path]:
    """Folders in it that are named by a number, in order."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def main(arguments: list[str] | None = None) -> int:
    (folder,) = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    use_environment()
    os.nice(NICE)  # the trials come first
    # A scheduler signals a whole job at once: the mirror stays until the sweep has gone.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    sweep = SweepDir(Path(folder).absolute())
    with FileLock(sweep.path / ".mirror.lock"):  # one of an earlier go at the sweep may still be at it
        return SweepMirror(sweep).main()


if __name__ == "__main__":
    sys.exit(main())
