"""Two ranks on one run directory: they agree with one, outlive a kill, and do not wait for one that hangs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runner.distributed.failure import Failure, write_failure
from runner.distributed.heartbeat import read_heartbeats
from runner.errors import ConfigError, Interrupted, OutOfTime, RunFailedError, UserError
from runner.launch.elastic import error_of, needs_agent, num_workers
from runner.run.directory import RunDir
from runner.run.journal import load_metrics
from runner.run.status import read_status, write_status
from tests.overrides import QUIET
from tests.processes import start_process, wait_for

QUICK = [
    "model=mlp", "regularization=none", *QUIET,
    "trainer.log_every_n_steps=1", "data.batch_size=64",
]  # fmt: skip

SLEEPER = """
import time
import pytorch_lightning as pl

class Sleeper(pl.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_rank == 1 and trainer.global_step == 20:
            self.fall_asleep()

    def fall_asleep(self):
        time.sleep(1000)
"""


def start(folder: Path, name: str, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "runner", "train", *QUICK, f"run.name={name}", *words]
    return start_process(command, folder, name, os.environ | {"PYTHONPATH": str(folder)})


def finish(folder: Path, name: str, *words: str) -> RunDir:
    assert start(folder, name, *words).wait(timeout=280) == 0, (folder / f"{name}.out").read_text()
    return RunDir(folder / "runs" / name)


def rank_one(run: RunDir):
    return next((pulse for pulse in read_heartbeats(run) if pulse.rank == 1), None)


def points(run: RunDir) -> dict[str, list]:
    return load_metrics(run.metrics_path)


def processes_on(run: RunDir) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"runner.launch.rank_worker" in words and str(run.path).encode() in words:
            found.append(path.parent.name)
    return found


def config(**hardware) -> dict:
    return {"hardware": hardware, "launcher": {"kind": "local"}}


def test_configs_that_need_an_elastic_agent() -> None:
    assert not needs_agent(config(devices=1)) and not needs_agent(config())
    assert needs_agent(config(devices=2)) and needs_agent(config(devices="all"))
    assert needs_agent(config(devices=1, strategy="ddp"))
    assert needs_agent({"hardware": {}, "launcher": {"kind": "elastic"}})


def test_one_worker_per_device() -> None:
    assert num_workers({"accelerator": "cpu", "devices": 3}) == 3
    with pytest.raises(ConfigError, match="hardware.devices=4096"):
        num_workers({"accelerator": "gpu", "devices": 4096})


@pytest.fixture
def run(tmp_path) -> RunDir:
    run = RunDir(tmp_path)
    run.logs.mkdir()
    write_status(run, state="running")
    return run


def test_status_names_the_first_failed_rank(run: RunDir) -> None:
    write_failure(run, Failure(0, "left", "rank 0 failed: Connection closed by peer", stack="somewhere"))
    write_failure(run, Failure(1, "killed", "rank 1 (process 7) was ended by SIGKILL at step 12.", step=12))
    reason = error_of(run, None)
    assert isinstance(reason, RunFailedError) and "rank 1" in str(reason) and "rank1.log" in str(reason)
    status = read_status(run)
    assert status.state == "failed" and "SIGKILL at step 12" in status.reason


def test_user_error_remains_a_user_error(run: RunDir) -> None:
    write_failure(run, Failure(1, "mistake", "there is no folder x", exit_code=2))
    assert type(error_of(run, None)) is UserError


def test_signal_is_reported_as_an_interruption(run: RunDir) -> None:
    write_status(run, state="interrupted", reason="SIGTERM: the state is saved at step 5")
    reason = error_of(run, signal.SIGTERM)
    assert isinstance(reason, Interrupted) and reason.exit_code == 143 and "saved at step 5" in str(reason)


def test_job_time_limit_is_not_a_failure(run: RunDir) -> None:
    write_failure(run, Failure(1, "left", "rank 1 failed: Connection closed by peer"))
    write_failure(
        run, Failure(0, "time", "SLURM ends job 7 at 11:00: the state is saved at step 9.", exit_code=124)
    )
    reason = error_of(run, None)
    assert (
        isinstance(reason, OutOfTime) and reason.exit_code == 124 and read_status(run).state == "interrupted"
    )


def test_two_ranks_share_one_run_directory(tmp_path) -> None:
    run = finish(tmp_path, "two", "data=digits", "hardware=cpu_ddp", "trainer.max_epochs=1")
    assert read_status(run).state == "finished"
    assert [path.parent.name for path in tmp_path.rglob("metrics.jsonl")] == ["two"]
    assert {step for step, _, _ in points(run)["train/loss"]} == set(range(1, 18))
    assert len(points(run)["train/loss"]) == 17, "only rank zero logs"
    assert (run.logs / "rank0.log").exists() and (run.logs / "rank1.log").exists()
    assert "test/accuracy" in json.loads(run.results_path.read_text())["test"]
    assert not processes_on(run)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("digits", ()),
        ("diabetes", ()),
        ("digits", ("trainer.accumulate_grad_batches=2", "data.batch_size=50")),
    ],
)
def test_two_ranks_match_one(tmp_path, data: str, options: tuple[str, ...]) -> None:
    """The last batch of an epoch falls unevenly to the ranks. Only the order of additions differs."""
    words = [f"data={data}", "trainer.max_epochs=3", *options]
    one = points(finish(tmp_path, "one", *words, "hardware=cpu"))
    two = points(finish(tmp_path, "two", *words, "hardware=cpu_ddp"))
    assert one.keys() == two.keys()
    for key in one:
        assert [point[:2] for point in one[key]] == [point[:2] for point in two[key]]
        assert [point[2] for point in one[key]] == pytest.approx(
            [point[2] for point in two[key]], rel=1e-5, abs=1e-6
        )


@pytest.mark.slow
def test_killed_rank_does_not_change_the_result(tmp_path) -> None:
    words = [
        "data=digits", "hardware=cpu_ddp", "trainer.max_epochs=40", "checkpoint.every_n_steps=7",
        "regularization.dropout=0.2",
    ]  # fmt: skip
    whole = finish(tmp_path, "whole", *words)
    killed = RunDir(tmp_path / "runs" / "killed")
    process = start(tmp_path, "killed", *words)
    wait_for(lambda: (pulse := rank_one(killed)) is not None and pulse.epoch >= 2, process)
    os.kill(rank_one(killed).pid, signal.SIGKILL)
    assert process.wait(timeout=280) == 0, (tmp_path / "killed.out").read_text()
    assert rank_one(killed).restart == 1 and read_status(killed).attempt == 2
    assert points(killed) == points(whole)
    assert not processes_on(killed)


@pytest.mark.slow
def test_hung_rank_is_reported_with_its_stack(tmp_path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER, encoding="utf-8")
    process = start(
        tmp_path,
        "hung",
        "data=digits",
        "hardware=cpu_ddp",
        "launcher.max_restarts=0",
        "launcher.hang_after_s=5",
        "+callbacks.sleep._target_=sleeper.Sleeper",
        "--allow-package",
        "sleeper",
    )
    run = RunDir(tmp_path / "runs" / "hung")
    wait_for(lambda: (pulse := rank_one(run)) is not None and pulse.step >= 20, process)
    started = time.monotonic()
    assert process.wait(timeout=100) == 1
    assert time.monotonic() - started < 60
    said = (tmp_path / "hung.out").read_text()
    assert "rank 1" in said and "hangs" in said and "step 20" in said and "fall_asleep" in said
    assert "rank 1" in read_status(run).reason and not processes_on(run)


def listening_addresses(process: subprocess.Popen) -> set[str]:
    """Return the addresses at which a process and its descendants accept connections."""
    parent = psutil.Process(process.pid)
    addresses = set()
    for one in [parent, *parent.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            addresses |= {item.laddr.ip for item in one.net_connections() if item.status == "LISTEN"}
    return addresses


@pytest.mark.slow
@pytest.mark.attack("ports")
def test_no_port_is_open_to_other_machines(tmp_path) -> None:
    process = start(tmp_path, "closed", "data=digits", "hardware=cpu_ddp", "trainer.max_epochs=3")
    addresses = set()
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            addresses |= listening_addresses(process)
        time.sleep(0.02)
    assert process.returncode == 0, (tmp_path / "closed.out").read_text()
    assert addresses == {"127.0.0.1"}, "at least the store of the ranks was seen"


@pytest.mark.slow
def test_killed_command_leaves_no_rank_running(tmp_path) -> None:
    process = start(tmp_path, "gone", "data=digits", "hardware=cpu_ddp", "trainer.max_epochs=10000")
    run = RunDir(tmp_path / "runs" / "gone")
    wait_for(lambda: (pulse := rank_one(run)) is not None and pulse.step >= 20, process)
    process.kill()
    process.wait()
    until = time.monotonic() + 60
    while processes_on(run):
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.mark.slow
def test_signal_saves_the_state_and_a_resume_continues(tmp_path) -> None:
    words = ["data=digits", "hardware=cpu_ddp", "trainer.max_epochs=60", "regularization.dropout=0.2"]
    process = start(tmp_path, "stopped", *words)
    run = RunDir(tmp_path / "runs" / "stopped")
    wait_for(lambda: (pulse := rank_one(run)) is not None and pulse.step >= 20, process)
    process.terminate()
    assert process.wait(timeout=100) == 143
    status = read_status(run)
    assert status.state == "interrupted" and "saved" in status.reason and not processes_on(run)
    resume = [sys.executable, "-m", "runner", "resume", str(run.path)]
    assert subprocess.run(resume, cwd=tmp_path, timeout=280, capture_output=True).returncode == 0
    steps = [step for step, _, _ in points(run)["train/loss"]]
    assert steps == list(range(1, 60 * 17 + 1))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 3)])
def test_sample_order_is_independent_of_the_world_size(tmp_path, before: int, after: int) -> None:
    """Only the order of additions differs: the curve is that of one device to 1e-4."""
    (tmp_path / "seen.py").write_text(SEEN, encoding="utf-8")
    words = [
        "data=digits",
        "data.batch_size=60",
        "trainer.max_epochs=3",
        "--allow-package",
        "seen",
        "+callbacks.seen._target_=seen.Seen",
    ]
    ranks = ["hardware=cpu_ddp", f"hardware.devices={before}"] if before > 1 else ["hardware=cpu"]
    run = RunDir(tmp_path / "runs" / "changed")
    process = start(tmp_path, "changed", *words, *ranks, "+callbacks.seen.stop_at=25")
    wait_for((run.path / "reached").exists, process)
    process.terminate()
    assert process.wait(timeout=100) == 143
    resume = [
        sys.executable,
        "-m",
        "runner",
        "resume",
        str(run.path),
        f"hardware.devices={after}",
        "--allow-package",
        "seen",
    ]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
    }
    done = subprocess.run(
        resume, cwd=tmp_path, timeout=280, capture_output=True, text=True, env=environment | {"GO_ON": "1"}
    )
    assert done.returncode == 0, done.stderr
    calm = finish(tmp_path, "calm", *words, "hardware=cpu", "+callbacks.seen.stop_at=0")
    one, other = points(calm), points(run)
    assert one.keys() == other.keys()
    for key in one:
        assert [point[:2] for point in one[key]] == [point[:2] for point in other[key]]
        if key.startswith(("train/loss", "val/loss")):
            assert [p[2] for p in one[key]] == pytest.approx([p[2] for p in other[key]], rel=1e-4, abs=1e-5)
    assert seen(run) == seen(calm)


SEEN = '''
import os, time
import pytorch_lightning as pl

class Seen(pl.Callback):
    """Every sample of every step, by rank; from one step on it tells that it is there, and is slow."""

    def __init__(self, stop_at: int):
        self.stop_at = stop_at

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        with open(os.path.join(trainer.default_root_dir, f"seen{trainer.global_rank}.txt"), "a") as file:
            print(trainer.global_step, *batch["index"].tolist(), file=file)
        if 0 < self.stop_at <= trainer.global_step and "GO_ON" not in os.environ:
            open(os.path.join(trainer.default_root_dir, "reached"), "w").close()
            time.sleep(1)
'''


def seen(run: RunDir) -> dict[int, list[int]]:
    """Step → the samples of all ranks, in order; a step that was done twice must be the same both times."""
    found: dict[int, list[int]] = {}
    for path in sorted(run.path.glob("seen*.txt")):
        for line in path.read_text().splitlines():
            step, *samples = map(int, line.split())
            found[step] = sorted({*found.get(step, ()), *samples})
    return found
