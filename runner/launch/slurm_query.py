"""What SLURM says about a job: asked of ``scontrol``, which every cluster has; ``sacct`` needs a data base."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

__all__ = ["Job", "job_of"]

ACTIVE = ("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "REQUEUED", "REQUEUE_HOLD",
          "RESIZING", "SIGNALING", "STAGE_OUT", "SPECIAL_EXIT")  # fmt: skip


@dataclass(frozen=True)
class Job:
    """
    Attributes:
        state: as SLURM spells it; ``GONE`` when it has forgotten the job, ``UNKNOWN`` when it does not answer.
        reason: why it waits, or ended.
        node: where it runs.
        restarts: how often it went back into the queue.
        exit_status: an exit code, or the negative number of the signal that ended it.
    """

    id: str
    state: str
    reason: str = ""
    node: str = ""
    restarts: int = 0
    exit_status: int = 1

    @property
    def is_active(self) -> bool:
        return self.state in (*ACTIVE, "UNKNOWN")


def job_of(number: str) -> Job:
    try:
        done = subprocess.run(
            ["scontrol", "-o", "show", "job", number], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return Job(number, "UNKNOWN")
    if done.returncode:
        return Job(number, "GONE" if "Invalid job id" in done.stderr else "UNKNOWN", done.stderr.strip())
    return parse(number, done.stdout)


def parse(number: str, line: str) -> Job:
    """Of one line of ``scontrol -o show job``."""

    def value(name: str) -> str:
        found = re.search(rf"(?:^|\s){name}=(\S+)", line)
        return "" if found is None or found.group(1) in ("(null)", "None") else found.group(1)

    code, _, signum = (value("ExitCode") or "1:0").partition(":")
    status = -int(signum or 0) or (128 - int(code) if int(code) > 128 else int(code))
    state, restarts = value("JobState") or "UNKNOWN", int(value("Restarts") or 0)
    return Job(number, state, value("Reason"), value("NodeList"), restarts, status)
