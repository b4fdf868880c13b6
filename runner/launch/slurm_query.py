"""State of a SLURM job from ``scontrol``, which every cluster has; ``sacct`` would need a database."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

__all__ = ["Job", "job_of"]

ACTIVE = (
    "PENDING",
    "CONFIGURING",
    "RUNNING",
    "SUSPENDED",
    "STOPPED",
    "COMPLETING",
    "REQUEUED",
    "REQUEUE_HOLD",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
    "SPECIAL_EXIT",
)


@dataclass(frozen=True)
class Job:
    """The state of a job.

    Attributes:
        id: the job id.
        state: as spelled by SLURM; ``GONE`` if SLURM no longer lists the job, ``UNKNOWN`` if it does not
            respond.
        reason: why the job is waiting, or why it ended.
        node: the node it runs on.
        restarts: number of times that it was requeued.
        exit_status: the exit code, or the negative signal number.
    """

    id: str
    state: str
    reason: str = ""
    node: str = ""
    restarts: int = 0
    exit_status: int = 1

    @property
    def is_active(self) -> bool:
        """Whether the job is waiting or running; true if the state is unknown."""
        return self.state in (*ACTIVE, "UNKNOWN")


def job_of(number: str) -> Job:
    """Return the current state of the job with this id. Never raises for a SLURM that does not respond."""
    try:
        result = subprocess.run(
            ["scontrol", "-o", "show", "job", number],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return Job(number, "UNKNOWN")
    if result.returncode:
        state = "GONE" if "Invalid job id" in result.stderr else "UNKNOWN"
        return Job(number, state, result.stderr.strip())
    return parse(number, result.stdout)


def parse(number: str, line: str) -> Job:
    """Parse one line of ``scontrol -o show job``."""

    def value(name: str) -> str:
        match = re.search(rf"(?:^|\s){name}=(\S+)", line)
        return "" if match is None or match.group(1) in ("(null)", "None") else match.group(1)

    code, _, signum = (value("ExitCode") or "1:0").partition(":")
    status = -int(signum or 0) or (128 - int(code) if int(code) > 128 else int(code))
    state, restarts = value("JobState") or "UNKNOWN", int(value("Restarts") or 0)
    return Job(number, state, value("Reason"), value("NodeList"), restarts, status)
