import json
import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from soak.tiny import Setting, make, outcome, train

from runner.errors import UserError
from runner.run.checkpoints import best_checkpoint, last_checkpoint, read_index
from runner.run.directory import RunDir
from runner.run.journal import read_points

STEPS = {"every_n_steps": 4}


class Stopped(Exception):
    pass


class StopAt(pl.Callback):
    """Ends a training at a hook as a kill would, without saving."""

    def __init__(self, hook: str, when: Callable[[pl.Trainer], bool]):
        def stop(trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
            if when(trainer):
                raise Stopped

        setattr(self, hook, stop)


def stopped(run: RunDir, setting: Setting, hook: str, when: Callable[[pl.Trainer], bool]) -> None:
    with pytest.raises(Stopped):
        train(run, setting, StopAt(hook, when))


def at_step(step: int) -> Callable[[pl.Trainer], bool]:
    return lambda trainer: trainer.global_step == step


def at_epoch(epoch: int) -> Callable[[pl.Trainer], bool]:
    return lambda trainer: trainer.current_epoch == epoch


OUTCOMES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}


def uninterrupted(setting: Setting) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the outcome and the best checkpoint of a training. Each setting is trained once."""
    if repr(setting) not in OUTCOMES:
        with tempfile.TemporaryDirectory() as folder:
            run = RunDir(Path(folder) / "run")
            OUTCOMES[repr(setting)] = train(run, setting), best_checkpoint(run).as_dict()
    return OUTCOMES[repr(setting)]


def same(folder: Path, setting: Setting, *stops: tuple[str, Callable[[pl.Trainer], bool]]) -> dict[str, Any]:
    """Assert that a training with stops equals the uninterrupted one."""
    calm, best = uninterrupted(setting)
    run = RunDir(folder / "stopped")
    for hook, when in stops:
        stopped(run, setting, hook, when)
    resumed = train(run, setting)
    assert {key for key in calm if calm[key] != resumed[key]} == set()
    assert best_checkpoint(run).as_dict() == best
    return resumed


MOMENTS = [
    ("on_train_batch_start", at_step(22)),
    ("on_train_batch_end", at_step(22)),
    ("on_train_batch_end", at_step(15)),
    ("on_train_batch_end", at_step(16)),
    ("on_validation_start", at_epoch(1)),
    ("on_validation_end", at_epoch(1)),
    ("on_train_epoch_end", at_epoch(1)),
    ("on_train_epoch_start", at_epoch(1)),
    ("on_step_boundary", at_step(15)),
    ("on_step_boundary", at_step(20)),
    ("on_train_batch_end", at_step(45)),
    ("on_train_end", at_step(45)),
]


@pytest.mark.parametrize(("hook", "when"), MOMENTS)
def test_interruption_anywhere_does_not_change_the_result(tmp_path: Path, hook: str, when) -> None:
    same(tmp_path, Setting(checkpoint=STEPS), (hook, when))


def test_several_stops_around_the_ends_of_epochs(tmp_path: Path) -> None:
    same(
        tmp_path,
        Setting(checkpoint={"every_n_steps": 5}),
        ("on_train_batch_end", at_step(15)),
        ("on_train_epoch_start", at_epoch(1)),
        ("on_validation_end", at_epoch(1)),
        ("on_train_batch_end", at_step(31)),
        ("on_train_end", at_step(45)),
    )


@pytest.mark.parametrize("num_workers", [1, 2])
def test_loader_workers_that_prefetch(tmp_path: Path, num_workers: int) -> None:
    stops = [("on_train_batch_end", at_step(22)), ("on_train_epoch_end", at_epoch(1))]
    same(tmp_path, Setting(num_workers=num_workers, checkpoint=STEPS), *stops)


def test_accumulation_that_does_not_divide_an_epoch(tmp_path: Path) -> None:
    stops = [("on_train_batch_end", at_step(6)), ("on_train_batch_start", at_step(11))]
    same(tmp_path, Setting(accumulate=2, checkpoint={"every_n_steps": 3}), *stops)


@pytest.mark.parametrize("hook", ["on_validation_end", "on_train_batch_start", "on_validation_batch_end"])
def test_validations_within_an_epoch(tmp_path: Path, hook: str) -> None:
    setting = Setting(val_check_interval=0.2, checkpoint={"every_n_steps": 2, "keep_last": 3})
    same(tmp_path, setting, (hook, at_step(6)), (hook, at_step(21)), (hook, at_step(30)))


def test_plateau_schedule_counts_the_interrupted_epoch(tmp_path: Path) -> None:
    setting = Setting(epochs=4, plateau=True, checkpoint=STEPS)
    same(tmp_path, setting, ("on_train_batch_end", at_step(22)), ("on_train_batch_end", at_step(51)))


def test_plateau_schedule_keeps_the_metric_from_before_the_interruption(tmp_path: Path) -> None:
    """Validation after batches 6 and 12, a checkpoint after 14, the schedule's step after 15."""
    setting = Setting(val_check_interval=0.4, plateau=True, checkpoint={"every_n_steps": 2})
    same(tmp_path, setting, ("on_train_epoch_end", at_epoch(0)), ("on_train_epoch_end", at_epoch(2)))


def test_early_stopping_continues_counting(tmp_path: Path) -> None:
    setting = Setting(epochs=30, patience=1, checkpoint=STEPS)
    ended = same(tmp_path, setting, ("on_validation_end", at_epoch(1)), ("on_train_batch_end", at_step(32)))
    assert ended["epoch"] < 30


def test_early_stopped_training_does_not_continue(tmp_path: Path) -> None:
    setting = Setting(epochs=30, patience=1)
    calm = train(RunDir(tmp_path), setting)
    again = train(RunDir(tmp_path), setting)
    assert again == calm and calm["epoch"] < 30


def test_max_steps_within_an_epoch(tmp_path: Path) -> None:
    setting = Setting(epochs=9, trainer={"max_steps": 38}, checkpoint=STEPS)
    stops = [
        ("on_train_epoch_start", at_epoch(1)),
        ("on_train_epoch_start", at_epoch(2)),
        ("on_train_batch_end", at_step(36)),
    ]
    assert same(tmp_path, setting, *stops)["step"] == 38


def test_limited_batches(tmp_path: Path) -> None:
    setting = Setting(trainer={"limit_train_batches": 11}, num_workers=2, checkpoint=STEPS)
    same(tmp_path, setting, ("on_train_batch_end", at_step(9)), ("on_train_batch_end", at_step(22)))


def test_interruption_before_the_first_checkpoint_restarts(tmp_path: Path) -> None:
    same(tmp_path, Setting(), ("on_train_batch_end", at_step(9)), ("on_validation_end", at_epoch(0)))


def test_previous_checkpoint_replaces_a_damaged_one(tmp_path: Path) -> None:
    setting = Setting(checkpoint=STEPS)
    calm = train(RunDir(tmp_path / "calm"), setting)
    run = RunDir(tmp_path / "run")
    stopped(run, setting, "on_train_batch_end", at_step(35))
    newest = last_checkpoint(run)
    content = bytearray(newest.path.read_bytes())
    content[len(content) // 2] ^= 1
    newest.path.write_bytes(content)
    assert last_checkpoint(run).step < newest.step
    assert train(run, setting) == calm


def test_modules_in_evaluation_mode_stay_there(tmp_path: Path) -> None:
    class Still(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module) -> None:
            pl_module.net[1].eval()

    def ended(run: RunDir, *more: pl.Callback) -> Any:
        return train(run, setting, Still(), *more)

    setting = Setting(val_check_interval=0.4, checkpoint=STEPS)
    calm = ended(RunDir(tmp_path / "calm"))
    with pytest.raises(Stopped):
        ended(RunDir(tmp_path / "run"), StopAt("on_train_batch_end", at_step(22)))
    assert ended(RunDir(tmp_path / "run")) == calm


@pytest.mark.parametrize("limit", ["epochs", "max_steps"])
def test_extended_training_continues_from_the_end(tmp_path: Path, limit: str) -> None:
    """Under a schedule that does not know the length."""

    def length(epochs: int) -> Setting:
        if limit == "epochs":
            return Setting(epochs=epochs, plateau=True)
        return Setting(epochs=99, plateau=True, trainer={"max_steps": 15 * epochs})

    longer = train(RunDir(tmp_path / "a"), length(4))
    train(RunDir(tmp_path / "b"), length(2))
    assert train(RunDir(tmp_path / "b"), length(4)) == longer


def test_points_after_the_checkpoint_are_written_once(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    stopped(run, Setting(checkpoint=STEPS), "on_train_batch_end", at_step(35))
    before = [(p.step, tuple(p.metrics)) for p in read_points(run.metrics_path)]
    train(run, Setting(checkpoint=STEPS))
    after = [(p.step, tuple(p.metrics)) for p in read_points(run.metrics_path)]
    assert before == after[: len(before)]
    assert len(set(after)) == len(after)
    epochs = [p.epoch for p in read_points(run.metrics_path)]
    assert epochs == sorted(epochs) and epochs[-1] == 2


def test_journal_shorter_than_the_checkpoint_is_reported(tmp_path: Path, caplog) -> None:
    run = RunDir(tmp_path)
    stopped(run, Setting(checkpoint=STEPS), "on_train_batch_end", at_step(35))
    run.metrics_path.write_text("")
    with caplog.at_level(logging.WARNING):
        train(run, Setting(checkpoint=STEPS))
    assert "metrics.jsonl has 0 bytes" in caplog.text
    assert next(read_points(run.metrics_path)).step > 30


def test_changed_batches_within_an_epoch_are_rejected(tmp_path: Path) -> None:
    run, setting = RunDir(tmp_path), Setting(checkpoint=STEPS)
    stopped(run, setting, "on_train_batch_end", at_step(22))
    trainer, task, data = make(run, setting)
    data.batch_size = 5
    with pytest.raises(UserError, match=r"within epoch 1, after 5 batches.*batch_size=5 \(was 4\)"):
        trainer.fit(task, datamodule=data, ckpt_path=str(last_checkpoint(run)), weights_only=True)


def test_between_epochs_the_batches_may_change(tmp_path: Path) -> None:
    run, setting = RunDir(tmp_path), Setting()
    stopped(run, setting, "on_train_batch_end", at_step(22))
    trainer, task, data = make(run, setting)
    data.batch_size = 5
    trainer.fit(task, datamodule=data, ckpt_path=str(last_checkpoint(run)), weights_only=True)
    assert len(task.consumed) == 180


def test_foreign_checkpoint_is_used_with_a_warning(tmp_path: Path, caplog) -> None:
    run, setting = RunDir(tmp_path / "a"), Setting(epochs=1)
    train(run, setting)
    state = torch.load(last_checkpoint(run), weights_only=True)
    del state["recovery"]
    torch.save(state, tmp_path / "foreign.ckpt")
    trainer, task, data = make(RunDir(tmp_path / "b"), Setting(epochs=2))
    with caplog.at_level(logging.WARNING):
        trainer.fit(task, datamodule=data, ckpt_path=str(tmp_path / "foreign.ckpt"), weights_only=True)
    assert "not written by runner" in caplog.text
    assert trainer.global_step == 30


def test_testing_a_checkpoint_changes_neither_journal_nor_random_state(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    trainer, task, data = make(run, Setting(checkpoint={"keep_last": 3}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(task, datamodule=data)
    trainer.logger.journal.flush()
    before = run.metrics_path.read_bytes()
    oldest = read_index(run.checkpoints)[0]
    torch.manual_seed(5)
    trainer.validate(task, datamodule=data, ckpt_path=str(oldest), weights_only=True, verbose=False)
    trainer.logger.journal.flush()
    points = run.metrics_path.read_bytes()
    assert points.startswith(before)
    assert [json.loads(line)["step"] for line in points[len(before) :].splitlines()] in (
        [],
        [trainer.global_step],
    )
    assert outcome(run, trainer, task)["step"] == trainer.global_step
