"""Starts the mirror beside a run, and waits for it at the end, but not for long."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.config.tracking import Tracking
from runner.run.directory import RunDir
from runner.run.status import read_status
from runner.tracking.metric_tail import read_state

__all__ = ["MirrorProcess", "start"]

POLL_INTERVAL_S = 0.1
# Of a distributed worker: the mirror is not one of its ranks, and needs no device.
FOREIGN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")


class MirrorProcess:
    """The mirror of a run at work.

    Attributes:
        process: None without a mirror.
        problem: why it could not be started.
    """

    def __init__(
        self,
        run: RunDir,
        settings: Tracking,
        process: subprocess.Popen | None = None,
        problem: str | None = None,
    ) -> None:
        self.run = run
        self.settings = settings
        self.process = process
        self.problem = problem

    def finish(self, timeout_s: float | None = None) -> bool:
        """Waits until all of the run is in the store. Call it when the run's last word (``status.json``) is
        written.

        Args:
            timeout_s: how long at most; None is ``tracking.wait_s``.

        Returns:
            Whether it is. A model to log may still follow; ``note`` says so.
        """
        if self.process is None:
            return self.problem is None
        self.process.stdin.close()  # the worker's last word
        until = time.monotonic() + (self.settings.wait_s if timeout_s is None else timeout_s)
        while not self.is_complete():
            if self.process.poll() is not None or time.monotonic() > until:
                return self.is_complete()
            time.sleep(POLL_INTERVAL_S)
        return True

    def abandon(self) -> None:
        """Ends the mirror of a run that was rejected before its first metric, when nothing is in the store
        yet.
        """
        if self.process is not None:
            self.process.stdin.close()
            self.process.kill()
            self.process.wait()
            self.process = None

    def is_complete(self) -> bool:
        return read_state(self.run).is_complete(read_status(self.run))

    def note(self) -> str | None:
        """A sentence for the user on what is not in the store; None when all is."""
        if self.problem is not None:
            return f"Not in MLflow: {self.problem}. `runner sync {self.run.name}` sends it."
        if self.process is None:
            return None
        is_at_work = self.process.poll() is None
        if not self.is_complete():
            how = "it continues in the background" if is_at_work else f"see {self.run.logs / 'tracking.log'}"
            return f"Not all in MLflow yet: {how}; `runner sync {self.run.name}` sends the rest."
        return None


def start(run: RunDir | str | Path, config: Mapping[str, Any] | None) -> MirrorProcess:
    """Starts the mirror of a run, as a process of its own that survives this one. Never raises.

    Args:
        config: the run's whole config; its ``tracking`` node decides.
    """
    run = run if isinstance(run, RunDir) else RunDir(run)
    settings = Tracking.from_config(config)
    if not settings.enabled:
        return MirrorProcess(run, settings)
    path = str(run.path.absolute())
    command = [sys.executable, "-m", "runner.tracking.sidecar", path, "--worker", str(os.getpid())]
    environment = {key: value for key, value in os.environ.items() if key not in FOREIGN}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    try:
        run.logs.mkdir(exist_ok=True)
        with open(run.logs / "tracking.log", "ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is the worker's
            )
    except OSError as error:
        return MirrorProcess(run, settings, problem=str(error))
    return MirrorProcess(run, settings, process)
