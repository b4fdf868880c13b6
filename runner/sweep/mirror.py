"""The process that mirrors a sweep to MLflow: ``python -m runner.sweep.mirror SWEEP_DIR``.

A parent run holds the results of the sweep; each trial is a child run. The standard input of the process is a
pipe from the sweep. When the pipe is closed, the process sends what is missing and exits. It therefore
outlives a sweep that is killed, and a killed trial still gets its final status.
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
from runner.run.child_process import module_command
from runner.run.directory import REPEATS, RunDir
from runner.sweep.directory import SweepDir
from runner.sweep.mlflow_parent import ParentRun
from runner.tracking.child_runs import PARENT, Children
from runner.tracking.metric_tail import read_state
from runner.tracking.store import use_environment

__all__ = ["SweepMirror", "finish_mirror", "main", "start_mirror", "sync_sweep"]

PASS_INTERVAL_S = 5.0
POLL_INTERVAL_S = 0.2
MAX_PAUSE_S = 60.0
GIVE_UP_S = 1800.0  # after the end of the sweep; `runner sync` sends the rest
LOCK_TIMEOUT_S = 120.0
NICE = 10

log = logging.getLogger("runner.sweep.mirror")


def start_mirror(sweep: SweepDir, settings: Tracking) -> subprocess.Popen[bytes] | None:
    """Start the mirror as a process that outlives this one; closing its ``stdin`` ends the sweep for it.

    Returns:
        The process; None if tracking is disabled.
    """
    if not settings.enabled:
        return None
    with open(sweep.logs / "tracking.log", "ab") as output:
        return subprocess.Popen(
            module_command("runner.sweep.mirror", str(sweep.path)),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C in the terminal is the sweep's
        )


def finish_mirror(sweep: SweepDir, mirror: subprocess.Popen[bytes], wait_s: float) -> str:
    """Wait for the mirror to send the rest.

    The mirror then continues in the background, and at the end renders the report.

    Args:
        sweep: the mirrored sweep.
        mirror: the process returned by `start_mirror`.
        wait_s: maximum waiting time in seconds.

    Returns:
        A message for the user.
    """
    if mirror.stdin is not None:
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
    """Send what the store lacks of a sweep and all its trials.

    Args:
        sweep: the sweep.
        uri: store to mirror to from now on; None for that of the config.
        with_model: whether to log the best trial's model.

    Returns:
        A message for the user, and whether everything available was sent.
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
        return f"{sweep.name}: another process is mirroring this sweep; try again later", False
    num = len(numbered(sweep.trials))
    if mirror.errors:
        return f"{sweep.name}: stopped: {mirror.errors[-1]}", False
    rest = "" if complete else " · some have not ended"
    return f"{sweep.name}: {num} trials · {mirror.parent.status} · {mirror.parent.entry.uri}{rest}", True


class SweepMirror:
    """Mirrors a sweep in passes; each pass sends the trials that are not completely in the store.

    Args:
        sweep: the sweep.
        uri: store to mirror to from now on; None for that of the config.

    Attributes:
        errors: errors of the last pass.
    """

    def __init__(self, sweep: SweepDir, uri: str | None = None) -> None:
        self.sweep = sweep
        self.uri = uri
        self.parent = ParentRun(sweep, uri)
        self.children = Children(uri, self.tags_of)
        self.errors: list[str] = []

    def main(self) -> int:
        """Mirror until everything is in the store; return 0, or 1 after giving up."""
        ended_at: float | None = None
        pause_s = PASS_INTERVAL_S
        while True:
            if ended_at is None and self.has_ended(pause_s):
                ended_at = time.monotonic()
            if ended_at is not None and self.parent.is_taken_over():
                log.info("the sweep was resumed: its own mirror takes over")
                return 0
            complete = self.pass_once(final=ended_at is not None)
            pause_s = PASS_INTERVAL_S if not self.errors else min(2 * pause_s, MAX_PAUSE_S)
            if ended_at is None:
                continue
            if complete:
                self.parent.send_page()
                self.parent.log_best_model()
                return 0
            if time.monotonic() - ended_at > GIVE_UP_S:
                log.warning("gave up; `runner sync %s` sends the rest", self.sweep.name)
                return 1
            time.sleep(1.0 if not self.errors else pause_s)

    def pass_once(self, final: bool) -> bool:
        """Send what is new.

        Args:
            final: whether the sweep's process has ended, so that nothing follows.

        Returns:
            Whether all trials have ended and are completely in the store.
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
        """Return the run of each trial, followed by its repeats."""
        runs = []
        for trial in numbered(self.sweep.trials):
            runs += [RunDir(trial), *map(RunDir, numbered(trial / REPEATS))]
        return runs

    def tags_of(self, run: RunDir) -> dict[str, str]:
        """Return the tags that link a run to its parent run."""
        tags = {"runner.sweep": self.sweep.name}
        if run.path.parent.name != REPEATS:
            return tags | {PARENT: self.parent.run_id, "runner.trial": run.path.name}
        trial = read_state(RunDir(run.path.parents[1])).run_id
        return tags | ({PARENT: trial} if trial else {})

    def has_ended(self, timeout_s: float) -> bool:
        """Wait for the sweep's process to close the pipe; return whether it has."""
        readable, _, _ = select.select([0], [], [], timeout_s)
        return bool(readable) and os.read(0, 1024) == b""


def numbered(folder: Path) -> list[Path]:
    """Return the subfolders whose names are numbers, in order."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def main(arguments: list[str] | None = None) -> int:
    """Mirror the sweep named by the only argument; return the exit code."""
    (folder,) = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    use_environment()
    os.nice(NICE)  # the trials have priority
    # A scheduler signals all processes of a job at once; the mirror must outlive the sweep.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    sweep = SweepDir(Path(folder).absolute())
    with FileLock(sweep.path / ".mirror.lock"):  # the mirror of an earlier attempt may still be running
        return SweepMirror(sweep).main()


if __name__ == "__main__":
    sys.exit(main())
