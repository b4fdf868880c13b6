import json
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from soak.tiny import Setting, digest, make, train

from runner.callbacks.checkpoint import Checkpointer
from runner.errors import CheckpointError, NonFiniteLossError, UserError
from runner.run.checkpoints import best_checkpoint, describe_damage, last_checkpoint, read_index
from runner.run.directory import RunDir


class Writes(pl.Callback):
    """Notes the moment of every checkpoint."""

    def __init__(self) -> None:
        self.at: list[tuple[int, int]] = []

    def on_save_checkpoint(self, trainer, pl_module, checkpoint) -> None:
        self.at.append((checkpoint["global_step"], checkpoint["recovery"]["batch"]))


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


def moments(run: RunDir, setting: Setting) -> list[tuple[int, int]]:
    writes = Writes()
    train(run, setting, writes)
    return writes.at


def kinds(run: RunDir) -> list[tuple[int, int, str]]:
    return [(entry.step, entry.epoch, entry.kind) for entry in read_index(run.checkpoints)]


def test_default_is_one_checkpoint_per_epoch(run: RunDir) -> None:
    assert moments(run, Setting()) == [(15, 0), (30, 0), (45, 0)]
    assert kinds(run)[-2:] == [(30, 1, "epoch"), (45, 2, "epoch")]


def test_every_n_epochs_and_at_the_end(run: RunDir) -> None:
    assert moments(run, Setting(epochs=3, checkpoint={"every_n_epochs": 2, "keep_best": 0})) == [
        (30, 0),
        (45, 0),
    ]


def test_every_n_steps_and_once_at_the_last_batch_of_an_epoch(run: RunDir) -> None:
    at = moments(run, Setting(epochs=2, checkpoint={"every_n_steps": 5}))
    assert at == [(5, 5), (10, 10), (15, 0), (20, 5), (25, 10), (30, 0)]


def test_accumulation_saves_only_between_updates(run: RunDir) -> None:
    at = moments(run, Setting(epochs=1, accumulate=2, checkpoint={"every_n_steps": 1}))
    assert at == [(1, 2), (2, 4), (3, 6), (4, 8), (5, 10), (6, 12), (7, 14), (8, 0)]


def test_every_minute(run: RunDir, monkeypatch) -> None:
    clock = iter(range(0, 10**6, 20))  # each look at the clock finds it 20 s later
    monkeypatch.setattr("runner.callbacks.checkpoint.time", SimpleNamespace(monotonic=lambda: next(clock)))
    at = moments(run, Setting(epochs=1, checkpoint={"every_minutes": 1.5}))
    assert [batch for _, batch in at] == [5, 10, 0]


def test_best_validation_within_an_epoch_is_kept(run: RunDir) -> None:
    train(run, Setting(epochs=2, val_check_interval=0.2, checkpoint={"every_n_epochs": 2}))
    points = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    values = {p["step"]: p["metrics"]["val/loss"] for p in points if "val/loss" in p["metrics"]}
    assert len(values) == 10
    best = best_checkpoint(run)
    assert best.value == pytest.approx(min(values.values()), rel=1e-6)
    assert values[best.step] == pytest.approx(best.value, rel=1e-6)
    assert best.monitor == "val/loss"
    assert torch.load(best, weights_only=True)["global_step"] == best.step


@pytest.mark.parametrize("by", [{}, {"check_val_every_n_epoch": None}])
@pytest.mark.parametrize(("accumulate", "every"), [(2, 3), (4, 3), (4, 5), (3, 1)])
def test_every_validation_counts_also_while_gradients_accumulate(
    run: RunDir, accumulate: int, every: int, by
) -> None:
    """A validation due within an accumulation waits for the update: its metrics belong to weights that are
    saved.
    """
    setting = Setting(
        epochs=2, accumulate=accumulate, val_check_interval=every, checkpoint={"keep_best": 99}, **by
    )
    train(run, setting)
    points = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    values = {p["step"]: p["metrics"]["val/loss"] for p in points if "val/loss" in p["metrics"]}
    per_epoch = -(-15 // accumulate)
    total = {-(-batch // accumulate) for batch in range(every, 16, every)}
    if not by:
        assert set(values) == {step + epoch * per_epoch for step in total for epoch in (0, 1)}
    assert best_checkpoint(run).value == pytest.approx(min(values.values()), rel=1e-6)


def test_run_with_a_postponed_validation_resumes_as_if_uninterrupted(run: RunDir, tmp_path: Path) -> None:
    setting = Setting(
        epochs=2, accumulate=4, val_check_interval=3, checkpoint={"every_n_steps": 1, "keep_last": 9}
    )
    trainer, calm, data = make(run, setting)
    trainer.fit(calm, datamodule=data)
    for entry in read_index(run.checkpoints)[:3]:
        trainer, task, data = make(RunDir(tmp_path / entry.file), setting)
        trainer.fit(task, datamodule=data, ckpt_path=str(entry), weights_only=True)
        assert task.consumed == calm.consumed and digest(task.state_dict()) == digest(calm.state_dict())


@pytest.mark.parametrize(("keep_last", "keep_best", "most"), [(1, 0, 1), (1, 1, 2), (2, 1, 3), (3, 2, 5)])
def test_only_the_requested_number_is_kept(run: RunDir, keep_last: int, keep_best: int, most: int) -> None:
    keep = {"keep_last": keep_last, "keep_best": keep_best}
    train(run, Setting(epochs=2, val_check_interval=0.2, checkpoint={"every_n_steps": 4, **keep}))
    listed = [entry.file for entry in read_index(run.checkpoints)]
    assert sorted([*listed, "index.json"]) == sorted(os.listdir(run.checkpoints))
    assert keep_last <= len(listed) <= most


def test_previous_checkpoint_stays_until_the_next_is_on_disk(run: RunDir) -> None:
    class Files(pl.Callback):
        def __init__(self) -> None:
            self.seen: list[int] = []

        def on_save_checkpoint(self, trainer, pl_module, checkpoint) -> None:
            self.seen.append(len(list(run.checkpoints.glob("*.ckpt"))))

    files = Files()
    train(run, Setting(checkpoint={"keep_last": 1, "keep_best": 0}), files)
    assert files.seen == [0, 1, 1]


def test_checkpoint_contains_no_objects(run: RunDir) -> None:
    train(run, Setting(epochs=1, patience=3))
    state = torch.load(last_checkpoint(run), weights_only=True)
    assert {
        "state_dict",
        "optimizer_states",
        "lr_schedulers",
        "loops",
        "callbacks",
        "recovery",
    } <= state.keys()


def test_resume_from_an_older_checkpoint_drops_later_ones(run: RunDir) -> None:
    setting = Setting(checkpoint={"keep_last": 5})
    calm = train(run, setting)
    oldest = read_index(run.checkpoints)[0]
    trainer, task, data = make(run, setting)
    trainer.fit(task, datamodule=data, ckpt_path=str(oldest), weights_only=True)
    assert task.consumed == calm["consumed"]
    assert kinds(run) == [(15, 0, "epoch"), (30, 1, "epoch"), (45, 2, "epoch")]
    assert sorted(os.listdir(run.checkpoints))[1:] == [f"step-000000{step}.ckpt" for step in (15, 30, 45)]


def test_restart_does_not_destroy_checkpoints(run: RunDir) -> None:
    train(run, Setting(epochs=1))
    trainer, task, data = make(run, Setting(epochs=1))
    with pytest.raises(CheckpointError, match="holds 1 checkpoints .* but the run starts from the beginning"):
        trainer.fit(task, datamodule=data)
    assert last_checkpoint(run).step == 15


def test_unwritable_folder_is_rejected_before_the_first_batch(run: RunDir) -> None:
    trainer, task, data = make(run, Setting())
    run.checkpoints.rmdir()
    run.checkpoints.write_text("in the way")
    with pytest.raises(CheckpointError, match="checkpoints cannot be written"):
        trainer.fit(task, datamodule=data)
    assert task.consumed == []


def test_full_disk_is_rejected_before_the_first_batch(run: RunDir, monkeypatch) -> None:
    trainer, task, data = make(run, Setting())
    usage = SimpleNamespace(disk_usage=lambda folder: SimpleNamespace(free=100))
    monkeypatch.setattr("runner.callbacks.checkpoint_store.shutil", usage)
    with pytest.raises(CheckpointError, match="has 0 MiB free"):
        trainer.fit(task, datamodule=data)
    assert task.consumed == []


def test_failed_save_ends_the_run_and_keeps_the_last_good_checkpoint(run: RunDir, monkeypatch) -> None:
    from runner.callbacks import checkpoint_io

    trainer, task, data = make(run, Setting(epochs=3))
    replace = checkpoint_io.replace_file

    def full(source: Path, target: Path) -> None:
        if "00000030" in str(target):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(checkpoint_io, "replace_file", full)
    with pytest.raises(CheckpointError, match="no space for .*step-00000030.ckpt"):
        trainer.fit(task, datamodule=data)
    assert last_checkpoint(run).step == 15
    assert sorted(os.listdir(run.checkpoints)) == ["index.json", "step-00000015.ckpt"]


def test_nan_is_never_the_best(run: RunDir) -> None:
    class NoNumber(pl.Callback):
        def on_validation_epoch_end(self, trainer, pl_module) -> None:
            if trainer.current_epoch == 1:
                pl_module._val = [torch.tensor(float("nan"))]

    train(run, Setting(checkpoint={"keep_last": 3}), NoNumber())
    assert [entry.value is None for entry in read_index(run.checkpoints)] == [False, True, False]
    assert best_checkpoint(run).epoch != 1


def test_non_finite_weights_are_never_saved(run: RunDir) -> None:
    class Poison(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            if trainer.global_step == 30:
                pl_module.net[4].bias.data[0] = float("inf")

    with pytest.raises(
        NonFiniteLossError, match=r"step 30 \(epoch \d\): weights became NaN or infinite in net.4.bias"
    ):
        train(run, Setting(val_check_interval=0.5, checkpoint={"every_n_steps": 30}), Poison())
    assert last_checkpoint(run).step < 30


def test_fast_dev_run_saves_nothing(run: RunDir) -> None:
    trainer, task, data = make(run, Setting(trainer={"fast_dev_run": True}))
    trainer.fit(task, datamodule=data)
    assert trainer.global_step == 1
    assert os.listdir(run.checkpoints) == []


def test_checkpointer_rejects_invalid_arguments() -> None:
    from inspect import signature

    defaults = {name: p.default for name, p in signature(Checkpointer).parameters.items()}
    assert defaults == {
        "every": None,
        "every_n_epochs": None,
        "every_n_steps": None,
        "every_minutes": None,
        "keep_best": 1,
        "keep_last": 2,
        "asynchronous": True,
    }


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("5 steps", [(5, 5), (10, 10), (15, 0)]),
        ("7steps", [(7, 7), (14, 14), (15, 0)]),
        (["9 steps", "1 epoch"], [(9, 9), (15, 0)]),
        ("2 epochs", [(15, 0)]),
    ],
)
def test_cadence_as_text(run: RunDir, every: str | list[str], expected: list[tuple[int, int]]) -> None:
    assert moments(run, Setting(epochs=1, checkpoint={"every": every, "keep_best": 0})) == expected


@pytest.mark.parametrize(
    "every", ["often", "0 steps", "1.5 epochs", "-3 steps", ["2 steps", "3 steps"], "5 apples"]
)
def test_invalid_cadence_is_rejected(every: str | list[str]) -> None:
    with pytest.raises(UserError, match="every="):
        Checkpointer(every=every)


def test_two_cadences_are_rejected() -> None:
    with pytest.raises(UserError, match="cannot be combined with every_n_epochs"):
        Checkpointer(every="5 steps", every_n_epochs=2)


def slow_writes(monkeypatch, seconds: float) -> list[str]:
    """Makes every write take so long; the names of the threads that wrote."""
    from runner.callbacks import checkpoint_io

    replace, threads = checkpoint_io.replace_file, []

    def slow(source: Path, target: Path) -> None:
        threads.append(threading.current_thread().name)
        time.sleep(seconds)
        replace(source, target)

    monkeypatch.setattr(checkpoint_io, "replace_file", slow)
    return threads


def test_training_continues_while_a_checkpoint_is_written(run: RunDir, monkeypatch) -> None:
    threads = slow_writes(monkeypatch, 0.3)
    busy_at: list[int] = []

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            if any(thread.name == "checkpoint" for thread in threading.enumerate()):
                busy_at.append(trainer.global_step)

    train(run, Setting(epochs=2), Look())
    assert set(threads) == {"checkpoint"} and len(busy_at) > 1
    assert [entry.step for entry in read_index(run.checkpoints)] == [15, 30]
    assert all(describe_damage(entry) is None for entry in read_index(run.checkpoints))


def test_later_changes_do_not_reach_the_file(tmp_path: Path, monkeypatch) -> None:
    def first_weights(name: str, **options) -> str:
        run = RunDir(tmp_path / name)
        train(run, Setting(epochs=2, checkpoint=options))
        state = torch.load(read_index(run.checkpoints)[0], weights_only=True)
        assert state["global_step"] == 15
        return digest([state["state_dict"], state["optimizer_states"], state["consumed"]])

    calm = first_weights("calm", asynchronous=False)
    slow_writes(monkeypatch, 0.2)
    assert first_weights("slow") == calm


def test_background_failure_ends_the_training(run: RunDir, monkeypatch) -> None:
    from runner.callbacks import checkpoint_io

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_io, "replace_file", full)
    trainer, task, data = make(run, Setting(epochs=1000))
    with pytest.raises(CheckpointError, match="no space for .*step-00000015.ckpt"):
        trainer.fit(task, datamodule=data)
    assert trainer.current_epoch < 3
    assert read_index(run.checkpoints) == [] and list(run.checkpoints.glob("*.ckpt")) == []


def test_file_that_cannot_be_read_back_is_rejected(run: RunDir, monkeypatch) -> None:
    from runner.callbacks import checkpoint_io

    replace = checkpoint_io.replace_file

    def forgetful(source: Path, target: Path) -> None:
        if "00000030" in str(target):
            os.truncate(source, 100)
        replace(source, target)

    monkeypatch.setattr(checkpoint_io, "replace_file", forgetful)
    trainer, task, data = make(run, Setting(checkpoint={"keep_last": 1, "keep_best": 0}))
    with pytest.raises(CheckpointError, match="step-00000030.ckpt differs from what was written"):
        trainer.fit(task, datamodule=data)
    assert last_checkpoint(run).step == 15
