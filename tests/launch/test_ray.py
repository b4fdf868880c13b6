"""launcher=ray: on a real cluster of two nodes, and the message without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.config.schema import Launcher
from runner.distributed.heartbeat import read_heartbeats
from runner.errors import UserError
from runner.launch import ray as on_ray
from runner.launch.ray import forwarded_environment, resources_of
from runner.run.directory import RunDir
from runner.run.status import read_status, write_status
from tests.launch.ray_cluster import RayCluster, missing
from tests.launch.test_elastic import QUICK, points, processes_on
from tests.processes import start_process, wait_for


@pytest.mark.quick
def test_resources_of_a_worker() -> None:
    assert resources_of(Launcher(kind="ray", cpus_per_worker=4), {}) == {"CPU": 4}
    assert resources_of(Launcher(kind="ray"), {"accelerator": "gpu"}) == {"CPU": 1, "GPU": 1}
    assert resources_of(Launcher(kind="ray", gpus_per_worker=0.5), {"accelerator": "gpu"})["GPU"] == 0.5


@pytest.mark.quick
def test_missing_cluster_is_reported_once_and_leaves_no_run(tmp_path, monkeypatch) -> None:
    pytest.importorskip("ray", reason="needs the extra ray")

    def refuse(*_words, **_options):
        raise ConnectionError("Could not find any running Ray instance.\nMore words")

    monkeypatch.setattr("ray.init", refuse)
    run = RunDir.create(tmp_path, "x")
    write_status(run, state="created")
    with pytest.raises(UserError, match=r"no Ray cluster responds .*ray start --head"):
        on_ray.launch(run, {"launcher": {"kind": "ray"}, "hardware": {}})
    assert not run.path.exists()


@pytest.mark.quick
def test_only_relevant_environment_variables_are_forwarded(monkeypatch) -> None:
    monkeypatch.setenv("RUNNER_ALLOW_PACKAGES", "mine")
    monkeypatch.setenv("SECRET", "x")
    assert (
        forwarded_environment()["RUNNER_ALLOW_PACKAGES"] == "mine" and "SECRET" not in forwarded_environment()
    )


@pytest.fixture(scope="module")
def cluster():
    if reason := missing():
        pytest.skip(reason)
    with RayCluster() as cluster:
        yield cluster


def start(cluster: RayCluster, folder: Path, name: str, *words: str) -> subprocess.Popen:
    command = [
        *cluster.prefix, sys.executable, "-m", "runner", "train", *QUICK, "data=digits", "hardware=cpu_ddp",
        "launcher=ray", f"launcher.address={cluster.address}", f"run.name={name}", *words,
    ]  # fmt: skip
    return start_process(command, folder, name)


def test_killed_worker_and_signal_do_not_change_the_result(cluster, tmp_path) -> None:
    """A rank is killed and all continue; the command is stopped and resumed; the result is that of an
    uninterrupted run.
    """
    words = [
        "trainer.max_epochs=150",
        "checkpoint.every_n_steps=7",
        "regularization.dropout=0.2",
        "launcher.spread=true",
    ]
    run = RunDir(tmp_path / "runs" / "killed")
    process = start(cluster, tmp_path, "killed", *words)

    def rank_one():
        return next((pulse for pulse in read_heartbeats(run) if pulse.rank == 1), None)

    wait_for(lambda: (pulse := rank_one()) is not None and pulse.step >= 20, process)
    os.kill(rank_one().pid, 9)
    wait_for(lambda: (pulse := rank_one()) is not None and pulse.restart == 1 and pulse.step >= 60, process)
    process.terminate()
    assert process.wait(timeout=200) == 143, (tmp_path / "killed.out").read_text()
    assert read_status(run).state == "interrupted" and not processes_on(run)

    resume = [*cluster.prefix, sys.executable, "-m", "runner", "resume", str(run.path)]
    done = subprocess.run(resume, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert start(cluster, tmp_path, "whole", *words).wait(timeout=600) == 0
    assert points(run) == points(RunDir(tmp_path / "runs" / "whole"))


def test_too_small_cluster_is_reported(cluster, tmp_path) -> None:
    process = start(cluster, tmp_path, "large", "launcher.cpus_per_worker=64", "launcher.wait_for_nodes_s=5")
    assert process.wait(timeout=200) == 1
    said = (tmp_path / "large.out").read_text()
    assert "2 × 64 CPU" in said and "4 CPU" in said
