"""Starts the mirror of a run as a separate process, and waits for it at the end for a limited time."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.config.tracking import Tracking
from runner.run.child_process import module_command
from runner.run.directory import RunDir
from runner.run.status import read_status
from runner.tracking.metric_tail import read_state

__all__ = ["MirrorProcess", "start"]

POLL_INTERVAL_S = 0.1
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables that are not passed on, because the mirror is not one of the ranks."""


class MirrorProcess:
    """The process that mirrors a run.

    Args:
        run: the run.
        settings: the ``tracking`` node.
        process: the process; None if tracking is disabled or the process could not be started.
        problem: why it could not be started.
    """

    def __init__(
        self,
        run: RunDir,
        settings: Tracking,
        process: subprocess.Popen[bytes] | None = None,
        problem: str | None = None,
    ) -> None:
        self.run = run
        self.settings = settings
        self.process = process
        self.problem = problem

    def finish(self, timeout_s: float | None = None) -> bool:
        """Wait until the run is completely in the store. Call it after the final status was written.

        Args:
            timeout_s: maximum waiting time in seconds; None for ``tracking.wait_s``.

        Returns:
            Whether it is. The model may be logged later, in the background.
        """
        if self.process is None:
            return self.problem is None
        self._close_pipe()
        until = time.monotonic() + (self.settings.wait_s if timeout_s is None else timeout_s)
        while not self.is_complete():
            if self.process.poll() is not None or time.monotonic() > until:
                return self.is_complete()
            time.sleep(POLL_INTERVAL_S)
        return True

    def abandon(self) -> None:
        """End the mirror of a run that was rejected before its first metric; the store is still empty."""
        if self.process is not None:
            self._close_pipe()
            self.process.kill()
            self.process.wait()
            self.process = None

    def _close_pipe(self) -> None:
        """Signal the mirror that the worker writes nothing more."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()

    def is_complete(self) -> bool:
        """Return whether the run is completely in the store; reads both files on each call."""
        return read_state(self.run).is_complete(read_status(self.run))

    def note(self) -> str | None:
        """Return a message about data that is not in the store yet; None if nothing is missing."""
        if self.problem is not None:
            return f"Not in MLflow: {self.problem}. `runner sync {self.run.name}` sends it."
        if self.process is None:
            return None
        is_running = self.process.poll() is None
        if not self.is_complete():
            hint = "it continues in the background" if is_running else f"see {self.run.logs / 'tracking.log'}"
            return f"Not all in MLflow yet: {hint}; `runner sync {self.run.name}` sends the rest."
        return None


def start(run: RunDir | str | Path, config: Mapping[str, Any] | None) -> MirrorProcess:
    """Start the mirror of a run as a process that outlives this one. Never raises.

    Args:
        run: the run or its directory.
        config: the run's whole config, with the ``tracking`` node.
    """
    run = run if isinstance(run, RunDir) else RunDir(run)
    settings = Tracking.from_config(config)
    if not settings.enabled:
        return MirrorProcess(run, settings)
    path = str(run.path.absolute())
    command = module_command("runner.tracking.sidecar", path, "--worker", str(os.getpid()))
    environment = {key: value for key, value in os.environ.items() if key not in RANK_VARIABLES}
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
                start_new_session=True,  # Ctrl-C in the terminal is handled by the worker
            )
    except OSError as error:
        return MirrorProcess(run, settings, problem=str(error))
    return MirrorProcess(run, settings, process)
