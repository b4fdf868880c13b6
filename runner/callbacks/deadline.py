"""Deadlines: the state is saved at a step boundary before the time of a run or of a SLURM job is over."""

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


MARGIN_S = 60.0
"""Before a scheduler's limit: for a last step, the checkpoint, and the end of the process."""
MAX_OF_JOB = 0.25
"""The margin is no more of a job's whole time than this."""


class Deadline(pl.Callback):
    """Ends a training that has used up ``trainer.max_time``, and one whose job is about to be killed.

    Args:
        max_time: of training, all attempts together, as Lightning takes it: ``DD:HH:MM:SS`` or a mapping
            (``{hours: 2}``). Afterwards the best checkpoint is tested; ``runner resume RUN
            trainer.max_time=…`` goes on where it stopped.
        job_end: when the scheduler ends this process; None if it does not.

    Raises:
        BudgetSpent: max_time is over; the state is saved.
        OutOfTime: the job's time is nearly over; the state is saved.
    """

    def __init__(self, max_time: Any = None, job_end: JobEnd | None = None) -> None:
        self.max_s = None if max_time is None else seconds_of(max_time)
        self.job_end = job_end
        self._elapsed_before = 0.0
        self._started: float | None = None
        self._last = 0.0
        self._longest_s = 0.0

    def elapsed_s(self) -> float:
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
        if self._is(trainer, self.job_end is not None and time.time() + self.margin_s() >= self.job_end.at):
            path = save(trainer)
            raise OutOfTime(
                f"{self.job_end.message()}: the state is saved at step {trainer.global_step}{path}."
            )
        if self._is(trainer, self.max_s is not None and self.elapsed_s() >= self.max_s):
            path = save(trainer)
            raise BudgetSpent(
                f"trainer.max_time ({timedelta(seconds=self.max_s)}) is spent: training ends at step "
                f"{trainer.global_step}{path}. `runner resume RUN trainer.max_time=…` continues from there."
            )

    def on_validation_batch_end(
        self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0
    ) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self.on_step_boundary(trainer, pl_module)

    def margin_s(self) -> float:
        """How long before the job's end the state is saved."""
        margin = min(MARGIN_S, MAX_OF_JOB * self.job_end.length_s) if self.job_end.length_s else MARGIN_S
        return margin + 2 * self._longest_s

    @staticmethod
    def _is(trainer: pl.Trainer, here: bool) -> bool:
        """Whether it is so on any rank: clocks differ, and all must end at the same step."""
        return here if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(here, all=False)


def save(trainer: pl.Trainer) -> str:
    for callback in trainer.callbacks:
        if isinstance(callback, Checkpointer):
            return f" ({callback.save_now(trainer)})"
    return ""


def seconds_of(max_time: Any) -> float:
    """
    Raises:
        ValueError: it is no such time.
    """
    if isinstance(max_time, timedelta):
        return max_time.total_seconds()
    if isinstance(max_time, dict):
        return timedelta(**max_time).total_seconds()
    days, hours, minutes, seconds = map(int, str(max_time).split(":"))
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
