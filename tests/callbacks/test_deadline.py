import time
from datetime import timedelta
from pathlib import Path

import pytest
import pytorch_lightning as pl
from soak.tiny import Setting, make, train

from runner.callbacks.deadline import Deadline, JobEnd, job_end, read_job, seconds_of
from runner.errors import BudgetSpent, Interrupted, OutOfTime
from runner.run.checkpoints import last_checkpoint
from runner.run.directory import RunDir

SHOWN = (
    "JobId=7 JobName=x StartTime=2026-11-21T10:00:00 EndTime=2026-11-21T11:00:00 Deadline=N/A "
    "TimeLimit=01:00:00 "
    "SubmitTime=2026-11-21T09:59:59"
)


class Late(pl.Callback):
    """At this step, the time is over."""

    def __init__(self, deadline: Deadline, step: int):
        self.deadline, self.step = deadline, step

    def on_train_batch_end(self, trainer, *args) -> None:
        if trainer.global_step == self.step:
            self.deadline.max_s = 0.0


def test_max_time_saves_within_an_epoch_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    calm = train(RunDir(tmp_path / "calm"), Setting())
    run, deadline = RunDir(tmp_path / "run"), Deadline("00:01:00:00")
    trainer, task, data = make(run, Setting(), deadline, Late(deadline, 20))
    with pytest.raises(
        BudgetSpent,
        match=r"trainer.max_time .* is used up: training ends at step 20 \(.*step-00000020.ckpt\)",
    ):
        trainer.fit(task, datamodule=data)
    assert last_checkpoint(run).step == 20
    assert train(run, Setting()) == calm


def test_time_of_all_attempts_counts() -> None:
    deadline = Deadline({"hours": 1})
    deadline.load_state_dict({"elapsed_s": 3590.0})
    deadline.on_train_start(None, None)
    assert 3590 <= deadline.state_dict()["elapsed_s"] < 3600


def test_state_is_saved_before_a_job_is_killed(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    end = JobEnd(time.time() + 50, 3600.0, "7")
    trainer, task, data = make(run, Setting(epochs=10**6), Deadline(job_end=end))
    with pytest.raises(OutOfTime, match="SLURM ends job 7 at .*: the state is saved at step 0") as caught:
        trainer.fit(task, datamodule=data)
    assert caught.value.exit_code == 124 and isinstance(caught.value, Interrupted)


def test_sufficient_time_has_no_effect(tmp_path: Path) -> None:
    end = JobEnd(time.time() + 10**5, 10**5, "7")
    trainer, task, data = make(RunDir(tmp_path), Setting(epochs=1), Deadline("01:00:00:00", end))
    trainer.fit(task, datamodule=data)
    assert trainer.global_step == 15


def test_job_end_is_read() -> None:
    assert job_end({}) is None
    environment = {"SLURM_JOB_ID": "7", "SLURM_JOB_START_TIME": "100", "SLURM_JOB_END_TIME": "1300"}
    assert job_end(environment) == JobEnd(1300.0, 1200.0, "7")
    assert read_job(SHOWN, "7").length_s == 3600
    assert read_job(SHOWN.replace("TimeLimit=01:00:00", "TimeLimit=UNLIMITED"), "7") is None


@pytest.mark.parametrize("given", ["00:01:30:05", {"minutes": 90, "seconds": 5}, timedelta(seconds=5405)])
def test_max_time_accepts_lightning_formats(given) -> None:
    assert seconds_of(given) == 5405
