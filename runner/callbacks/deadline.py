"""Saves the state and ends training before the time limit of a run or of its SLURM job."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from runner.callbacks import lightning_internals
from runner.callbacks.checkpoint import Checkpointer
from runner.errors import BudgetSpent, OutOfTime

__all__ = ["Deadline", "JobEnd", "job_end", "seconds_of"]

SCONTROL_TIMEOUT_S = 10


@dataclass(frozen=True)
class JobEnd:
    """When the scheduler ends this job.

    Attributes:
        at: Unix time in seconds.
        length_s: time limit of the whole job in seconds; 0 if unknown.
        job: id of the job.
    """

    at: float
    length_s: float = 0.0
    job: str = ""

    def message(self) -> str:
        """Describe the end of the job, with the local time."""
        return f"SLURM ends job {self.job} at {time.strftime('%H:%M:%S', time.localtime(self.at))}"


def job_end(environment: Mapping[str, str] | None = None) -> JobEnd | None:
    """Return the end of this job from its environment or else from ``scontrol``.

    Args:
        environment: environment variables; those of this process if None.

    Returns:
        None outside a job, or if its end is unknown.
    """
    environment = os.environ if environment is None else environment
    job = environment.get("SLURM_JOB_ID")
    if not job:
        return None
    try:
        start, end = (environment.get(f"SLURM_JOB_{name}_TIME") for name in ("START", "END"))
        if end:
            return JobEnd(float(end), float(end) - float(start) if start else 0.0, job)
        command = ["scontrol", "-o", "show", "job", job]
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=SCONTROL_TIMEOUT_S, check=True
        )
        return read_job(result.stdout, job)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def read_job(line: str, job: str) -> JobEnd | None:
    """Parse a line of ``scontrol -o show job``; None if the job has no time limit."""
    times = dict(re.findall(r"\b(StartTime|EndTime)=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", line))
    if "EndTime" not in times or "TimeLimit=UNLIMITED" in line:
        return None
    moments = {name: time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S")) for name, text in times.items()}
    length_s = moments["EndTime"] - moments["StartTime"] if "StartTime" in moments else 0.0
    return JobEnd(moments["EndTime"], length_s, job)


MARGIN_S = 60.0
"""Time reserved before the scheduler's limit for a last step, the checkpoint, and the exit of the process."""
MAX_MARGIN_FRACTION = 0.25
"""Largest margin as a fraction of the time limit of the job."""


class Deadline(pl.Callback):
    """Ends training after ``trainer.max_time``, or shortly before the scheduler kills the job.

    Args:
        max_time: training time of all attempts together, as in Lightning: ``DD:HH:MM:SS`` or a mapping such
            as ``{hours: 2}``. Afterwards the best checkpoint is tested; ``runner resume RUN
            trainer.max_time=…`` continues the training.
        job_end: when the scheduler ends this process; None without a limit.

    Raises:
        BudgetSpent: ``max_time`` is used up; the state is saved.
        OutOfTime: the time limit of the job is near; the state is saved.
    """

    def __init__(self, max_time: Any = None, job_end: JobEnd | None = None) -> None:
        self.max_s = None if max_time is None else seconds_of(max_time)
        self.job_end = job_end
        self._elapsed_before = 0.0
        self._started: float | None = None
        self._last = 0.0
        self._longest_s = 0.0

    def elapsed_s(self) -> float:
        """Return the training time of all attempts so far, in seconds."""
        return self._elapsed_before + (0.0 if self._started is None else time.monotonic() - self._started)

    def state_dict(self) -> dict[str, Any]:
        return {"elapsed_s": self.elapsed_s()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._elapsed_before = state["elapsed_s"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = self._last = time.monotonic()
        self._longest_s = 0.0

    def on_step_boundary(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.max_s is None and self.job_end is None:
            return
        now = time.monotonic()
        self._longest_s, self._last = max(self._longest_s, now - self._last), now
        if not lightning_internals.between_updates(trainer):
            return
        end = self.job_end
        if self._any_rank(trainer, end is not None and time.time() + self.margin_s() >= end.at):
            path = save(trainer)
            reason = "SLURM ends this job soon" if end is None else end.message()
            raise OutOfTime(f"{reason}: the state is saved at step {trainer.global_step}{path}.")
        if self._any_rank(trainer, self.max_s is not None and self.elapsed_s() >= self.max_s):
            path = save(trainer)
            raise BudgetSpent(
                f"trainer.max_time ({timedelta(seconds=self.max_s or 0)}) is used up: training ends at step "
                f"{trainer.global_step}{path}. `runner resume RUN trainer.max_time=…` continues from there."
            )

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self.on_step_boundary(trainer, pl_module)

    def margin_s(self) -> float:
        """Return how long before the end of the job the state is saved, in seconds."""
        length_s = self.job_end.length_s if self.job_end is not None else 0.0
        margin = min(MARGIN_S, MAX_MARGIN_FRACTION * length_s) if length_s else MARGIN_S
        return margin + 2 * self._longest_s

    @staticmethod
    def _any_rank(trainer: pl.Trainer, flag: bool) -> bool:
        """Return whether the flag is set on any rank: clocks differ, but all must end at the same step."""
        return flag if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(flag, all=False)


def save(trainer: pl.Trainer) -> str:
    """Save a checkpoint and return its path in parentheses; empty without a ``Checkpointer``."""
    for callback in lightning_internals.callbacks_of(trainer):
        if isinstance(callback, Checkpointer):
            return f" ({callback.save_now(trainer)})"
    return ""


def seconds_of(max_time: Any) -> float:
    """Convert ``trainer.max_time`` to seconds.

    Raises:
        ValueError: it has another format.
    """
    if isinstance(max_time, timedelta):
        return max_time.total_seconds()
    if isinstance(max_time, dict):
        return timedelta(**max_time).total_seconds()
    days, hours, minutes, seconds = map(int, str(max_time).split(":"))
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
