"""Going on with a run, and doing one again, as a user types it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from runner.inference.load import digests_of
from runner.run.checkpoints import last_checkpoint, read_index
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.journal import read_points
from runner.run.status import read_status
from tests.overrides import QUIET

QUICK = [
    *QUIET,
    "hardware=cpu",
    "hardware.num_threads=1",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=6",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
    "trainer.log_every_n_steps=1",
    "regularization.dropout=0.2",
]

STOP = """
import os, signal
import pytorch_lightning as pl

class Stop(pl.Callback):
    def __init__(self, step: int, signum: int):
        self.step, self.signum = step, signum

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step and "GO_ON" not in os.environ:
            os.kill(os.getpid(), self.signum)

class Spoil(pl.Callback):
    def __init__(self, step: int):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        if trainer.global_step == self.step and lr > 5e-4:
            batch["inputs"][0] = float("nan")
"""


@pytest.fixture
def run_of(here: Path, monkeypatch):
    """The run of a name; callbacks of the user's own are at hand as ``stop``."""
    (here / "stop.py").write_text(STOP)
    monkeypatch.delitem(sys.modules, "stop", raising=False)  # that of the test before lay elsewhere
    monkeypatch.syspath_prepend(here)
    return lambda name: RunDir(here / "runs" / name)


def stop_at(step: int, signum: int) -> list[str]:
    return [
        "+callbacks.stop._target_=stop.Stop",
        f"+callbacks.stop.step={step}",
        f"+callbacks.stop.signum={int(signum)}",
    ]


def outcome(run: RunDir) -> tuple:
    points = [(point.step, point.epoch, point.metrics) for point in read_points(run.metrics_path)]
    return digests_of(last_checkpoint(run)), points


@pytest.mark.parametrize("signum", [signal.SIGUSR1, signal.SIGHUP])
def test_signal_leaves_a_correct_status_and_a_resumable_run(say, run_of, signum: int) -> None:
    said = say("train", *QUICK, "run.name=stopped", *stop_at(8, signum))
    assert said.code == 128 + signum
    status = read_status(run_of("stopped"))
    assert (status.state, status.step, status.epoch) == ("interrupted", 9, 1)
    assert f"{signal.Signals(signum).name}: the state is saved at step 9" in status.reason
    assert say("resume", "stopped").code == 0
    assert say("train", *QUICK, "run.name=calm").code == 0
    assert outcome(run_of("stopped")) == outcome(run_of("calm"))


def test_repeated_command_resumes_and_then_has_nothing_to_do(say, run_of) -> None:
    command = ["train", *QUICK, "resume=auto", *stop_at(8, signal.SIGTERM)]
    assert say(*command).code == 143
    [name] = os.listdir("runs")
    again = say(*command)
    assert again.code == 0 and os.listdir("runs") == [name]
    assert "resumes" in again.out and read_status(run_of(name)).attempt == 2
    third = say(*command)
    assert third.code == 0 and "is finished" in third.out and "trainer.max_epochs=N" in third.out
    other = say(*command, "seed=5")
    assert other.code == 143 and len(os.listdir("runs")) == 2


def test_resume_by_name_reports_or_rejects_differences(say, run_of) -> None:
    command = ["train", *QUICK, "resume=auto", "run.name=mine", *stop_at(8, signal.SIGTERM)]
    assert say(*command).code == 143
    refused = say(*command, "model.hidden_sizes=[8]", "seed=1")
    assert refused.code == 2 and "model.hidden_sizes" in refused.err and "seed: 0 → 1" in refused.err
    allowed = say(*command, "checkpoint.every=3 steps")
    assert allowed.code == 0 and "checkpoint.every: null → 3 steps" in allowed.out
    assert OmegaConf.load(run_of("mine").config_path).checkpoint.every == "3 steps"


def test_resume_with_other_values(say, run_of) -> None:
    assert say("train", *QUICK, "auto=false", "run.name=a", *stop_at(8, signal.SIGTERM)).code == 143
    for words in (["data.batch_size=32"], ["model=logistic"], ["optimizer.lr=-1"], ["optimiser.lr=1"]):
        before = run_of("a").config_path.read_text()
        said = say("resume", "a", *words)
        assert said.code == 2 and "error:" in said.err and "Traceback" not in said.err
        assert run_of("a").config_path.read_text() == before
    said = say("resume", "a", "optimizer.lr=5e-5", "trainer.max_epochs=3")
    assert said.code == 0 and "optimizer.lr: 0.001 → 5e-05 (acts from here on)" in said.out
    rates = {
        p.step: p.metrics["train/lr"]
        for p in read_points(run_of("a").metrics_path)
        if "train/lr" in p.metrics
    }
    assert max(rates) == 18 and rates[8] > 1e-4 > rates[10] > 0
    changes = read_json(run_of("a").provenance_path)["changed"][0]["changes"]
    assert changes == {"optimizer.lr": [0.001, 5e-05], "trainer.max_epochs": [2, 3]}


def test_finished_run_continues_when_extended(say, run_of) -> None:
    assert say("train", *QUICK, "run.name=short", "scheduler=none").code == 0
    assert "is finished" in say("resume", "short", "data.num_workers=0").out
    assert say("resume", "short", "trainer.max_epochs=3").code == 0
    assert say("train", *QUICK, "run.name=long", "scheduler=none", "trainer.max_epochs=3").code == 0
    long, short = (outcome(run_of(name)) for name in ("long", "short"))
    assert long == short


@pytest.mark.parametrize(
    "schedule",
    [["scheduler=cosine"], ["scheduler=one_cycle"], ["scheduler=polynomial"], ["scheduler=multistep"]],
)
def test_extended_run_uses_the_schedule_of_the_new_length(say, run_of, schedule: list[str]) -> None:
    def rates(name: str) -> dict[int, float]:
        points = read_points(run_of(name).metrics_path)
        return {p.step: p.metrics["train/lr"] for p in points if "train/lr" in p.metrics}

    assert say("train", *QUICK, *schedule, "run.name=short").code == 0
    said = say("resume", "short", "trainer.max_epochs=4")
    assert said.code == 0 and "planned for 12 steps and is now for 24" in said.err
    assert say("train", *QUICK, *schedule, "run.name=long", "trainer.max_epochs=4").code == 0
    short, long = rates("short"), rates("long")
    assert list(short) == list(range(1, 25))
    for step in range(13, 25):  # the point of a step has the rate of the next one
        assert short[step] == pytest.approx(long[step], rel=1e-6)
    assert max(short[step] for step in range(13, 24)) > 1e-5


def test_early_stopped_run_continues_with_more_patience(say, run_of) -> None:
    stopping = [
        "scheduler=none",
        "optimizer.lr=0",
        "+regularization.early_stopping.patience=1",
        "trainer.max_epochs=6",
    ]
    assert say("train", *QUICK, *stopping, "run.name=a").code == 0
    assert read_status(run_of("a")).epoch == 2
    assert say("resume", "a", "regularization.early_stopping.patience=3").code == 0
    assert read_status(run_of("a")).epoch == 4
    assert say("resume", "a", "regularization.early_stopping=null").code == 0
    assert read_status(run_of("a")).epoch == 6


def test_manually_changed_config_is_detected(say, run_of) -> None:
    assert say("train", *QUICK, "run.name=a", *stop_at(8, signal.SIGTERM)).code == 143
    path = run_of("a").config_path
    path.write_text(path.read_text().replace("seed: 0", "seed: 7"))
    said = say("resume", "a")
    assert said.code == 2 and "written with other values" in said.err and "seed: 0 → 7" in said.err
    assert read_status(run_of("a")).state == "failed" and last_checkpoint(run_of("a")).step == 9


def test_damaged_checkpoint_is_named_and_the_previous_one_used(say, run_of, monkeypatch) -> None:
    assert (
        say("train", *QUICK, "run.name=a", "checkpoint.every=2 steps", *stop_at(8, signal.SIGTERM)).code
        == 143
    )
    newest, previous = read_index(run_of("a").checkpoints)[:-3:-1]
    data = bytearray(newest.path.read_bytes())
    data[len(data) // 2] ^= 4
    newest.path.write_bytes(data)
    monkeypatch.setenv("GO_ON", "1")
    said = say("resume", "a")
    assert said.code == 0 and newest.file in said.err and f"Using {previous.file}" in said.err
    assert say("train", *QUICK, "run.name=calm").code == 0
    assert outcome(run_of("a")) == outcome(run_of("calm"))


def test_max_time_ends_the_training_and_tests_the_best(say, run_of) -> None:
    said = say(
        "train",
        *QUICK,
        "run.name=timed",
        "scheduler=none",
        "trainer.max_epochs=-1",
        "trainer.max_time=00:00:00:02",
    )
    assert said.code == 0, said.err
    status = read_status(run_of("timed"))
    assert (
        status.state == "finished"
        and "trainer.max_time (0:00:02) is used up" in status.reason
        and status.step > 0
    )
    assert read_json(run_of("timed").results_path)["test"]["test/loss"] > 0
    assert last_checkpoint(run_of("timed")).step == status.step
    refused = say("train", *QUICK, "trainer.max_epochs=-1", "trainer.max_time=00:00:00:02")
    assert refused.code == 2 and "scheduler=cosine needs to know how long the training is" in refused.err


def test_rolled_back_run_continues_with_a_lower_rate(say, run_of) -> None:
    words = ["scheduler=none", "+callbacks.spoil._target_=stop.Spoil", "+callbacks.spoil.step=8"]
    said = say("train", *QUICK, *words, "guard.on_non_finite=roll_back", "run.name=back")
    assert said.code == 0, said.err
    run = run_of("back")
    assert "step 9 (epoch 1, batch 2)" in said.err and "0.5 times the learning rate" in said.err
    points = [p for p in read_points(run.metrics_path) if "train/lr" in p.metrics]
    assert [p.step for p in points] == list(range(1, 13))
    assert [p.metrics["train/lr"] for p in points] == [1e-3] * 6 + [5e-4] * 6
    [entry] = json.loads((run.path / "roll_backs.json").read_text())
    assert entry["checkpoint"] == "step-00000006.ckpt"
    too_often = say(
        "train",
        *QUICK,
        *words,
        "guard.on_non_finite=roll_back",
        "guard.lr_factor=0.99",
        "guard.most=1",
        "run.name=no",
    )
    assert too_often.code == 1 and "went back 1 times already" in too_often.err


def test_reproduced_bit_for_bit_with_the_proof(say, run_of) -> None:
    assert say("train", *QUICK, "run.name=a").code == 0
    said = say("reproduce", "a")
    assert said.code == 0, said.out + said.err
    assert "reproduced: bit-identical" in said.out and "numbers equal to the last bit" in said.out
    assert digests_of(last_checkpoint(run_of("a")))["weights"][:16] in said.out
    proof = read_json(run_of("a_again").path / "reproduction.json")
    assert proof["same"] and proof["numbers_different"] == 0 and proof["numbers"][0] > 10


def test_failed_reproduction_names_the_differences(say, run_of) -> None:
    assert say("train", *QUICK, "run.name=a").code == 0
    run = run_of("a")
    lines = run.metrics_path.read_text().splitlines()
    number = next(n for n, line in enumerate(lines) if n > 1 and '"train/loss"' in line)
    spoilt = json.loads(lines[number])
    spoilt["metrics"]["train/loss"] += 0.25
    lines[number] = json.dumps(spoilt)
    run.metrics_path.write_text("\n".join(lines) + "\n")
    provenance = read_json(run.provenance_path)
    provenance["packages"]["torch"] = "1.0"
    run.provenance_path.write_text(json.dumps(provenance))
    said = say("reproduce", "a")
    assert said.code == 1 and "NOT reproduced" in said.out and "train/loss: differs by up to 0.25" in said.out
    assert f"first at step {spoilt['step']}: train/loss" in said.out and "packages: torch: 1.0 → " in said.out


def test_unfinished_run_is_not_reproduced(say, run_of) -> None:
    assert say("train", *QUICK, "run.name=a", *stop_at(8, signal.SIGTERM)).code == 143
    said = say("reproduce", "a")
    assert said.code == 2 and "a is interrupted" in said.err and "runner resume" in said.err


@pytest.fixture
def disk(here: Path):
    """A file system of 2 MiB at ``disk``, and what changes it: ``remount("size=20m")``."""
    folder = here / "disk"
    folder.mkdir()

    def mount(*options: str) -> bool:
        return subprocess.run(["mount", *options, str(folder)], capture_output=True).returncode == 0

    if shutil.which("mount") is None or not mount("-t", "tmpfs", "-o", "size=2m", "tmpfs"):
        pytest.skip("mounting a small file system needs root, which this process has not")
    yield lambda options: mount("-o", f"remount,{options}")
    subprocess.run(["umount", "-l", str(folder)], check=True)


FILLING = ["checkpoint.every=1 step", "checkpoint.keep_last=100", "run.root=disk/runs", "run.name=a"]


@pytest.mark.parametrize("asynchronous", ["true", "false"])
def test_full_disk_during_training_keeps_good_checkpoints(say, here: Path, disk, asynchronous: str) -> None:
    said = say("train", *QUICK, *FILLING, f"checkpoint.asynchronous={asynchronous}")
    assert said.code == 1 and "Traceback" not in said.err
    assert "no space for" in said.err and "Free some space, then `runner resume`" in said.err
    run = RunDir(here / "disk" / "runs" / "a")
    status, newest = read_status(run), last_checkpoint(run)
    assert status.state == "failed" and "no space for" in status.reason
    assert 1 <= newest.step <= status.step < 12
    assert disk("size=20m")
    assert say("resume", "disk/runs/a").code == 0
    assert say("train", *QUICK, "run.name=calm").code == 0
    assert outcome(run) == outcome(RunDir(here / "runs" / "calm"))


def test_full_disk_is_rejected_before_training(say, here: Path, disk) -> None:
    (here / "disk" / "filler").write_bytes(bytes(2 * 2**20 - 150_000))
    said = say("train", *QUICK, *FILLING)
    assert said.code in (1, 2) and "Traceback" not in said.err and "train/loss" not in said.out
    assert "no space for" in said.err or "MiB free" in said.err


def test_read_only_folder_is_rejected_before_training(say, run_of, disk) -> None:
    assert disk("size=20m")
    assert say("train", *QUICK, "run.root=disk/runs", "run.name=a", *stop_at(3, signal.SIGTERM)).code in (
        1,
        143,
    )
    assert disk("ro")
    resumed = say("resume", "disk/runs/a")
    assert resumed.code == 2 and "Read-only file system" in resumed.err and "Traceback" not in resumed.err
    begun = say("train", *QUICK, "run.root=disk/runs", "run.name=b")
    assert begun.code == 2 and "is not a writable folder" in begun.err
