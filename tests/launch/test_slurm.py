"""launcher=slurm without a cluster: what sbatch is asked for, what SLURM's answers mean."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from runner.config.checks.environment import launching_problems
from runner.errors import Interrupted, RunFailedError, UserError
from runner.launch import slurm, slurm_job
from runner.launch.slurm_query import Job, job_of, parse
from runner.run.directory import RunDir
from runner.run.files import read_json, write_json
from runner.run.status import read_status, write_status

pytestmark = pytest.mark.quick
pytest.importorskip("submitit", reason="needs the extra slurm")

LINE = (
    "JobId=12 JobName=mlp_digits JobState={state} Reason=None Dependency=(null) Requeue=1 Restarts=3 "
    "NodeList=node[1-2] BatchHost=node1"
)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Programs of a cluster that only say something: name → lines of shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "POLL_INTERVAL_S", 0.05)

    def add(**scripts: str) -> None:
        for name, lines in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
            (folder / name).chmod(0o755)

    add(srun="exit 0")
    return add


@pytest.fixture
def run(tmp_path) -> RunDir:
    run = RunDir.create(tmp_path / "runs", "mlp_digits")
    write_status(run, state="created")
    return run


def config(launcher=None, **hardware):
    return OmegaConf.create({"hardware": hardware, "launcher": {"kind": "slurm"} | (launcher or {})})


def test_sbatch_options() -> None:
    asked = slurm.parameters(
        "x",
        config(
            {"partition": "gpu", "time_min": 90, "mem_gb": 1.5}, accelerator="gpu", devices=4, num_nodes=2
        ),
    )
    assert asked["partition"] == "gpu" and asked["time"] == 90 and asked["mem"] == "1536MB"
    assert (asked["nodes"], asked["ntasks_per_node"], asked["gpus_per_node"]) == (2, 4, 4)
    assert asked["additional_parameters"] == {"requeue": True, "signal": "USR1@120"}
    asked = slurm.parameters("x", config({"options": {"reservation": "night"}}))
    assert asked["additional_parameters"] == {"requeue": True, "signal": "USR1@120", "reservation": "night"}
    assert asked["ntasks_per_node"] == 1 and "gpus_per_node" not in asked and "partition" not in asked
    assert slurm.parameters("x", config({"gpus_per_node": 8}, devices="all"))["ntasks_per_node"] == 8


def test_slurm_output_is_parsed() -> None:
    assert parse("12", LINE.format(state="RUNNING")) == Job("12", "RUNNING", "", "node[1-2]", 3)
    assert parse("12", LINE.format(state="PENDING")).is_active
    assert not parse("12", LINE.format(state="TIMEOUT")).is_active


def test_unknown_job_has_ended_but_an_unresponsive_cluster_has_not(programs) -> None:
    programs(scontrol="echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert job_of("12").state == "GONE" and not job_of("12").is_active
    programs(scontrol="echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    assert job_of("12").is_active


def test_job_is_followed_to_its_end(programs, run, capsys) -> None:
    log = slurm.log_path(run, "12")
    answer = LINE.format(state="RUNNING").replace("Restarts=3", "Restarts=0")
    programs(
        sbatch="echo Submitted batch job 12",
        scontrol=(
            f"if [ -e {run.path}/seen ]; then echo '{answer.replace('RUNNING', 'COMPLETED')}'; "
            f"else touch {run.path}/seen; printf 'submitit INFO\\nepoch 1/2\\nepoch 2/2\\n' > {log}; echo "
            f"'{answer}'; fi"
        ),
    )
    write_json(run.results_path, {"step": 34})
    write_status(run, state="finished")
    assert slurm.launch(run, config()) == {"step": 34}
    said = capsys.readouterr()
    assert "SLURM job 12" in said.out and "epoch 1/2\nepoch 2/2\n" in said.out and "submitit" not in said.out
    assert "running on node[1-2]" in said.err
    script = (run.logs / "slurm" / "12_submission.sh").read_text()
    assert "#SBATCH --requeue" in script and "#SBATCH --signal=USR1@120" in script


def test_follow_false_only_submits(programs, run, capsys) -> None:
    programs(sbatch="echo Submitted batch job 12", scontrol=f"echo '{LINE.format(state='PENDING')}'")
    assert slurm.launch(run, config({"follow": False})) is None
    assert "`scancel 12`" in capsys.readouterr().out
    assert read_json(run.logs / "slurm.json")["job"] == "12"
    with pytest.raises(UserError, match="already has SLURM job 12"):
        slurm.launch(run, config())


def test_ctrl_c_does_not_cancel_the_job(programs, run, capsys, monkeypatch) -> None:
    def interrupt(*_words):
        raise KeyboardInterrupt

    programs(sbatch="echo Submitted batch job 12")
    monkeypatch.setattr(slurm, "follow", interrupt)
    assert slurm.launch(run, config()) is None
    assert "job 12 continues in the background" in capsys.readouterr().out


def test_rejected_job_leaves_no_run(programs, run) -> None:
    programs(sbatch="echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1")
    with pytest.raises(UserError, match="invalid partition specified: nope"):
        slurm.launch(run, config())
    assert not run.path.exists()


@pytest.mark.parametrize("state", ["interrupted", "created"])
def test_rejected_job_keeps_an_existing_trained_run(programs, run, state: str) -> None:
    programs(sbatch="echo 'sbatch: error: too many jobs' >&2; exit 1")
    write_status(run, state="running")
    write_status(run, state=state, reason="saved")
    with pytest.raises(UserError, match="too many jobs"):
        slurm.launch(run, config())
    assert run.path.exists()


def test_outcome_of_a_job(run) -> None:
    write_status(run, state="running")
    with pytest.raises(RunFailedError, match="OUT_OF_MEMORY"):
        slurm.outcome(run, Job("12", "OUT_OF_MEMORY"))
    assert read_status(run).state == "failed"
    write_status(run, state="interrupted", reason="SIGTERM: the state is saved at step 7")
    with pytest.raises(Interrupted, match="saved at step 7"):
        slurm.outcome(run, Job("12", "CANCELLED"))
    write_status(run, state="failed", reason="the loss is NaN")
    with pytest.raises(RunFailedError, match="the loss is NaN"):
        slurm.outcome(run, Job("12", "FAILED"))


@pytest.mark.parametrize(
    ("signum", "state", "restarts", "back"),
    [
        (signal.SIGUSR1, "RUNNING", 0, True),
        (signal.SIGUSR1, "RUNNING", 2, False),
        (signal.SIGTERM, "RUNNING", 0, True),
        (signal.SIGTERM, "COMPLETING", 0, False),
        (signal.SIGINT, "RUNNING", 0, False),
    ],
)
def test_requeued_jobs(monkeypatch, signum, state, restarts, back) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))
    monkeypatch.setattr(slurm_job, "job_of", lambda number: Job(number, state))
    assert slurm_job.should_requeue(Interrupted("saved", signum), max_requeues=2) is back


def test_invalid_settings_are_rejected_before_a_run_is_created(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (problem,) = launching_problems({"kind": "slurm"}, {})
    assert (problem.key, problem.kind) == ("launcher", "unavailable")
    assert "sbatch and srun and scontrol not found on the PATH" in problem.message
    (problem,) = launching_problems({"kind": "local", "partition": "gpu"}, {})
    assert (problem.key, problem.kind) == ("launcher.partition", "no_effect")
    assert str(problem) == (
        "launcher.partition would have no effect: it is for launcher=slurm, and this is launcher=local."
    )

    def problems(launcher: dict, hardware: dict) -> set[tuple[str, str]]:
        return {(p.key, p.kind) for p in launching_problems({"kind": "slurm"} | launcher, hardware)}

    assert ("launcher.time_min", "out_of_bounds") in problems({"time_min": 3}, {})
    assert ("hardware.devices", "incompatible") in problems({}, {"devices": "all"})
    assert ("launcher.max_restarts", "no_effect") in problems({"max_restarts": 1}, {})


def test_missing_package_names_the_extra(monkeypatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert any("runner[slurm]" in str(p) for p in launching_problems({"kind": "slurm"}, {}))
    assert any("runner[ray]" in str(p) for p in launching_problems({"kind": "ray"}, {}))


def test_job_folder_is_inside_the_run(run) -> None:
    assert Path(slurm.log_path(run, "12")).is_relative_to(run.logs)
