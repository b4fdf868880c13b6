"""When SLURM ends this job. Its own warning signal has to be asked for; the time is there anyway."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["JobEnd", "job_end"]

ASK_S = 10


@dataclass(frozen=True)
class JobEnd:
    """
    Attributes:
        at: seconds since the epoch.
        length_s: of the whole job; 0 when unknown.
        job: its number.
    """

    at: float
    length_s: float = 0.0
    job: str = ""

    def message(self) -> str:
        return f"SLURM ends job {self.job} at {time.strftime('%H:%M:%S', time.localtime(self.at))}"


def job_end(environment: Mapping[str, str] | None = None) -> JobEnd | None:
    """From the job's environment, otherwise from ``scontrol``; None outside a job or if it is unknown."""
    environment = os.environ if environment is None else environment
    job = environment.get("SLURM_JOB_ID")
    if not job:
        return None
    try:
        start, end = (environment.get(f"SLURM_JOB_{name}_TIME") for name in ("START", "END"))
        if end:
            return JobEnd(float(end), float(end) - float(start) if start else 0.0, job)
        shown = subprocess.run(
            ["scontrol", "-o", "show", "job", job], capture_output=True, text=True, timeout=ASK_S, check=True
        ).stdout
        return read_job(shown, job)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def read_job(shown: str, job: str) -> JobEnd | None:
    """From a line of ``scontrol -o show job``; None when the job has no end."""
    times = dict(re.findall(r"\b(StartTime|EndTime)=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", shown))
    if "EndTime" not in times or "TimeLimit=UNLIMITED" in shown:
        return None
    moments = {name: time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S")) for name, text in times.items()}
    length_s = moments["EndTime"] - moments["StartTime"] if "StartTime" in moments else 0.0
    return JobEnd(moments["EndTime"], length_s, job)
