"""Sweeps on clusters: a real Ray cluster that loses a node, a real SLURM, and the job handling without
either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import ConfigError
from runner.launch.slurm_query import Job, parse
from runner.run.files import read_json
from runner.sweep.executors.cluster import ClusterExecutor, End
from runner.sweep.executors.file_channel import MailboxChannel, read_attempt
from runner.sweep.executors.slurm import SlurmExecutor, Submitted
from runner.sweep.running_trial import Attempt
from tests.launch import ray_cluster, slurm_cluster
from tests.processes import start_process, wait_for

CONFIG = {"launcher": {"kind": "ray", "cpus_per_worker": 2}, "hardware": {"devices": 1}}
SWEEP = [
    "model=mlp",
    "data=digits",
    "regularization=none",
    "tracking=none",
    "trainer.max_epochs=4",
    "hardware=cpu",
    "optimizer.lr=tag(log,interval(1e-4,1e-1))",
    "sweep.name=s",
]


class FakeCluster(ClusterExecutor):
    """Jobs are dicts that a test changes."""

    def submit(self, attempt: Attempt) -> dict:
        return {"place": None, "end": None, "signals": [], "dropped": False}

    def location_of(self, job: dict) -> str | None:
        return job["place"]

    def end_of(self, job: dict) -> End | None:
        return job["end"]

    def send(self, job: dict, signum: int) -> None:
        job["signals"].append(signum)

    def discard(self, job: dict) -> None:
        job["dropped"] = True


@pytest.fixture
def cluster(tmp_path):
    found = FakeCluster(CONFIG)
    (tmp_path / "logs").mkdir()
    found.start(Attempt(3, tmp_path, prunes=True, num_threads=7, devices=("GPU-1",), environment={"A": "b"}))
    return found


def test_lifecycle_of_an_attempt(cluster, tmp_path) -> None:
    job = cluster._jobs[3]
    assert cluster.wait(0) == []
    job["place"] = "node3"
    assert [(e.kind, e.location) for e in cluster.wait(0)] == [("started", "node3")]
    channel = MailboxChannel(tmp_path, waits=False)
    channel.report(1, 0.5)
    (report,) = cluster.wait(0)
    assert (report.kind, report.epoch, report.value) == ("report", 1, 0.5)
    cluster.answer(3, True)
    assert read_json(tmp_path / "mailbox" / "answer.json") == {"epoch": 1, "prune": True}
    cluster.signal(3, signal.SIGTERM)
    assert job["signals"] == [signal.SIGTERM]
    channel.report(2, 0.6)
    job["end"] = End(-9, "its machine was lost")
    assert [e.kind for e in cluster.wait(0)] == ["report", "ended"], "what it said last comes first"
    assert job["dropped"] and cluster.wait(0) == []
    cluster.signal(3, signal.SIGKILL)  # it has gone: nothing happens
    cluster.answer(3, False)


def test_local_threads_and_devices_are_not_forwarded(cluster, tmp_path) -> None:
    received = read_attempt(tmp_path)
    assert received.num_threads == 2 and received.devices == () and received.environment == {}


def test_remaining_jobs_are_cancelled(cluster) -> None:
    job = cluster._jobs[3]
    cluster.close()
    assert job["dropped"]


def test_trial_stays_on_one_machine() -> None:
    with pytest.raises(ConfigError, match="hardware.num_nodes=2"):
        FakeCluster(CONFIG | {"hardware": {"num_nodes": 2}})


@pytest.mark.parametrize(
    ("state", "code", "status"),
    [("COMPLETED", "0:0", 0), ("FAILED", "1:0", 1), ("FAILED", "137:0", -9), ("FAILED", "0:9", -9),
     ("NODE_FAIL", "0:0", -9), ("OUT_OF_MEMORY", "0:125", -9), ("RUNNING", "0:0", None)],
)  # fmt: skip
def test_job_outcomes(monkeypatch, state, code, status) -> None:
    seen = parse("7", f"JobId=7 JobState={state} ExitCode={code} NodeList=n1")
    monkeypatch.setattr(Submitted, "query", lambda self: seen)
    executor = SlurmExecutor({"launcher": {"kind": "slurm"}, "hardware": {}})
    end = executor.end_of(Submitted("7", Job("7", "PENDING")))
    assert (None if end is None else end.status) == status
    assert executor.location_of(Submitted("7", seen)) == "n1, job 7"


def sweep(folder: Path, words: list[str], prefix: list[str], environment: dict[str, str]) -> subprocess.Popen:
    command = [*prefix, sys.executable, "-m", "runner", "sweep", *SWEEP, *words]
    return start_process(command, folder, "sweep", environment)


def states(folder: Path) -> dict[str, int]:
    return read_json(folder / "runs" / "s" / "status.json", {}).get("trials", {})


def finished(folder: Path) -> list[Path]:
    found = sorted((folder / "runs" / "s" / "trials").glob("*"))
    return [path for path in found if read_json(path / "status.json", {}).get("state") == "finished"]


def under_way(folder: Path) -> list[Path]:
    """Trials that have trained an epoch or more, and have not ended."""
    found = sorted((folder / "runs" / "s" / "trials").glob("*"))
    return [path for path in found if (path / "metrics.jsonl").exists() and path not in finished(folder)]


@pytest.mark.slow
def test_ray_node_loss_loses_no_trial(tmp_path) -> None:
    if reason := ray_cluster.missing():
        pytest.skip(reason)
    with ray_cluster.RayCluster(cpus_per_node=1) as cluster:
        words = [
            "launcher=ray",
            f"launcher.address={cluster.address}",
            "sweep.num_trials=5",
            "sweep.num_workers=2",
            "trainer.max_epochs=20",
        ]
        process = sweep(tmp_path, words, cluster.prefix, dict(os.environ))
        wait_for(lambda: len(under_way(tmp_path)) == 2, process, timeout_s=600)
        cluster.remove_node()
        assert process.wait(timeout=1500) == 0, (tmp_path / "sweep.out").read_text()
    said = (tmp_path / "sweep.out").read_text()
    assert states(tmp_path) == {"complete": 5}, said
    attempts = [read_json(path / "status.json")["attempt"] for path in finished(tmp_path)]
    assert sorted(attempts) == [1, 1, 1, 1, 2], said


@pytest.mark.slow
def test_slurm_trials_are_pruned_killed_and_resumed(tmp_path) -> None:
    if reason := slurm_cluster.missing():
        pytest.skip(reason)
    pytest.importorskip("submitit", reason="needs the extra slurm")
    with slurm_cluster.SlurmCluster(tmp_path / "slurm") as cluster:
        words = [
            "launcher=slurm",
            "sweep.num_trials=3",
            "sweep.num_workers=2",
            "sweep=asha",
            "trainer.max_epochs=9",
        ]
        process = sweep(tmp_path, words, [], cluster.full_environment())
        wait_for(lambda: under_way(tmp_path), process, timeout_s=600)
        taken = under_way(tmp_path)[0].name
        jobs = dict(line.split() for line in cluster.ask("squeue", "-h", "-o", "%j %i").stdout.splitlines())
        cluster.ask("scancel", jobs[f"trial-{taken}"])  # a cancelled job: its trial continues in another one
        assert process.wait(timeout=1500) == 0, (tmp_path / "sweep.out").read_text()
        wait_for(lambda: not cluster.jobs(), None, timeout_s=600)
    said = (tmp_path / "sweep.out").read_text()
    assert sum(states(tmp_path).values()) == 3 and set(states(tmp_path)) <= {"complete", "pruned"}, said
    status = read_json(tmp_path / "runs" / "s" / "trials" / taken / "status.json")
    assert status["attempt"] == 2 and status["state"] in ("finished", "pruned"), said
