"""launcher=slurm on a real SLURM: requeued at the time limit and for a job of higher priority, cancelled, and
bit-identical to an uninterrupted run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.status import read_status
from tests.launch.slurm_cluster import SlurmCluster, missing
from tests.launch.test_elastic import QUICK, points, processes_on
from tests.processes import start_process, wait_for

WORDS = [*QUICK, "data=digits", "hardware=cpu_ddp", "regularization.dropout=0.2", "launcher=slurm"]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if reason := missing():
        pytest.skip(reason)
    pytest.importorskip("submitit", reason="needs the extra slurm")
    with SlurmCluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


def start(slurm: SlurmCluster, folder: Path, name: str, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "runner", "train", *WORDS, f"run.name={name}", *words]
    return start_process(command, folder, name, slurm.full_environment())


def step_of(run: RunDir) -> int:
    return max(read_json(run.logs / f"rank{rank}.pulse.json", {}).get("step", 0) for rank in (0, 1))


def at_once(slurm: SlurmCluster, number: str) -> None:
    """SLURM delays a requeued job by two minutes; start it now."""
    wait_for(lambda: "PENDING" in slurm.ask("squeue", "-h", "-o", "%T", "-j", number).stdout, timeout_s=400)
    slurm.ask("scontrol", "update", f"JobId={number}", "StartTime=now")


def test_twice_requeued_job_equals_an_uninterrupted_run(slurm, tmp_path) -> None:
    words = [
        "trainer.max_epochs=120",
        "tracking=mlflow",
        "tracking.log_model=false",
        "tracking.system_metrics=false",
    ]
    run = RunDir(tmp_path / "runs" / "moved")
    process = start(slurm, tmp_path, "moved", *words)
    wait_for(lambda: step_of(run) >= 40, process, timeout_s=400)
    number = read_json(run.logs / "slurm.json")["job"]
    slurm.ask("scancel", "--signal=USR1", number)  # what SLURM sends before the time is over
    wait_for(lambda: read_status(run).state == "interrupted", process, timeout_s=400)
    at_once(slurm, number)

    before = step_of(run)
    wait_for(
        lambda: read_status(run).state == "running" and step_of(run) >= before + 40, process, timeout_s=400
    )
    other = slurm.ask("sbatch", "-p", "high", "-n2", "--wrap", "sleep 2", "-o", "/dev/null").stdout
    assert "Submitted" in other
    wait_for(lambda: read_status(run).state == "interrupted", process, timeout_s=400)
    at_once(slurm, number)
    assert process.wait(timeout=600) == 0, (tmp_path / "moved.out").read_text()

    said = (tmp_path / "moved.out").read_text()
    assert f"job {number} is requeued" in said and "attempt 2" in said and "attempt 3" in said
    assert read_status(run).attempt == 3 and not processes_on(run)
    assert start(slurm, tmp_path, "whole", "trainer.max_epochs=120", "tracking=none").wait(timeout=600) == 0
    assert points(run) == points(RunDir(tmp_path / "runs" / "whole"))
    assert_one_mlflow_run(tmp_path, "moved")


def assert_one_mlflow_run(folder: Path, name: str) -> None:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder / 'runs' / 'mlflow.db'}")
    (experiment,) = [e for e in client.search_experiments() if e.name == "runner"]
    found = [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name == name]
    assert [run.info.status for run in found] == ["FINISHED"]


def test_cancelled_job_saves_its_state_and_resume_submits_again(slurm, tmp_path) -> None:
    run = RunDir(tmp_path / "runs" / "stopped")
    process = start(slurm, tmp_path, "stopped", "trainer.max_epochs=60")
    wait_for(lambda: step_of(run) >= 40, process, timeout_s=400)
    number = read_json(run.logs / "slurm.json")["job"]
    resume = [sys.executable, "-m", "runner", "resume", str(run.path)]
    environment = slurm.full_environment() | {"OMP_NUM_THREADS": "1"}
    second = subprocess.run(resume, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert second.returncode == 2 and "running" in second.stderr
    slurm.ask("scancel", number)
    assert process.wait(timeout=200) == 143
    assert "saved" in (tmp_path / "stopped.out").read_text() and read_status(run).state == "interrupted"
    assert subprocess.run(resume, cwd=tmp_path, env=environment, timeout=600).returncode == 0
    assert [step for step, _, _ in points(run)["train/loss"]] == list(range(1, 60 * 17 + 1))


def test_ctrl_c_detaches(slurm, tmp_path) -> None:
    run = RunDir(tmp_path / "runs" / "alone")
    process = start(slurm, tmp_path, "alone", "trainer.max_epochs=300", "hardware=cpu")
    wait_for(lambda: (run.logs / "slurm.json").exists() and slurm.jobs(), process, timeout_s=400)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert "continues in the background" in (tmp_path / "alone.out").read_text()
    wait_for(lambda: read_status(run).state == "finished", timeout_s=400)


def test_invalid_partition_leaves_no_run(slurm, tmp_path) -> None:
    process = start(slurm, tmp_path, "none", "launcher.partition=nope")
    assert process.wait(timeout=100) == 2
    assert "invalid partition" in (tmp_path / "none.out").read_text()
    assert not os.path.exists(tmp_path / "runs" / "none")
