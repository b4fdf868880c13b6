"""The same line inside torchrun and srun: one run directory, one voice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.run.directory import RunDir
from runner.run.status import read_status
from tests.launch.slurm_cluster import SlurmCluster, missing
from tests.launch.test_elastic import QUICK, points, processes_on, rank_one, wait_for

BIN = Path(sys.executable).parent
TORCHRUN = [str(BIN / "torchrun"), "--nproc-per-node=2"]


def train(*words: str) -> list[str]:
    return ["-m", "runner", "train", *QUICK, "data=digits", *words]


def carry_out(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=280,
    )


def test_torchrun_restarts_on_the_same_run(tmp_path) -> None:
    """The next attempt of torchrun resumes from the last checkpoint and gives the uninterrupted result."""
    words = train("trainer.max_epochs=60", "checkpoint.every_n_steps=7", "regularization.dropout=0.2")
    run = RunDir(tmp_path / "runs" / "killed")
    with open(tmp_path / "out", "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*TORCHRUN, "--max-restarts=1", *words, "run.name=killed"],
            cwd=tmp_path,
            stdout=output,
            stderr=output,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    wait_for(lambda: (pulse := rank_one(run)) is not None and pulse.step >= 20, process)
    os.kill(rank_one(run).pid, signal.SIGKILL)
    assert process.wait(timeout=280) == 0, (tmp_path / "out").read_text()
    assert read_status(run).attempt == 2 and not processes_on(run)
    whole = carry_out(tmp_path, *TORCHRUN, *words, "run.name=whole")
    assert whole.returncode == 0, whole.stderr
    assert points(run) == points(RunDir(tmp_path / "runs" / "whole"))
    assert sorted(path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()) == ["killed", "whole"]


def test_error_under_torchrun_is_reported_once_and_creates_no_run(tmp_path) -> None:
    done = carry_out(tmp_path, *TORCHRUN, *train("data.batch_size=33"))
    assert done.returncode != 0 and not list(tmp_path.rglob("config.yaml"))
    assert done.stderr.count("data.batch_size=33 is the total batch of all 2 devices") == 1
    done = carry_out(tmp_path, *TORCHRUN, "-m", "runner", "evaluate", "latest")
    assert done.stderr.count("`runner evaluate` runs in a single process") == 1


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if reason := missing():
        pytest.skip(reason)
    with SlurmCluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


def test_srun_tasks_share_one_run_directory(slurm, tmp_path) -> None:
    srun = ["srun", "-n2", sys.executable]
    done = carry_out(tmp_path, *srun, *train("trainer.max_epochs=1", "run.name=two"), **slurm.environment)
    assert done.returncode == 0, done.stderr
    run = RunDir(tmp_path / "runs" / "two")
    assert read_status(run).state == "finished" and len(points(run)["train/loss"]) == 17
    assert done.stdout.count("best checkpoint") == 1
    done = carry_out(tmp_path, *srun, *train("hardware.devices=4"), **slurm.environment)
    assert done.returncode == 2 and done.stderr.count("srun has started 2 processes") == 1
