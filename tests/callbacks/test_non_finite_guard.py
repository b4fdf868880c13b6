import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from soak.tiny import NUM_TRAIN, Setting, TinyData, make

from runner.callbacks.non_finite_guard import NonFiniteGuard
from runner.errors import NonFiniteLossError, RollBack, UserError
from runner.run.checkpoints import last_checkpoint
from runner.run.directory import RunDir
from runner.run.journal import read_points


class Spoil(pl.Callback):
    """Puts a value that is no number into training at one step."""

    def __init__(self, step: int, what: str, value: float = float("nan")):
        self.step, self.what, self.value = step, what, value

    def on_train_batch_start(self, trainer, pl_module, batch: dict[str, Any], batch_idx: int) -> None:
        if trainer.global_step == self.step - 1:
            if self.what == "inputs":
                batch["inputs"][1] = self.value
            else:
                pl_module.net[4].bias.data[0] = self.value
            self.indices = batch["index"].tolist()


def fail(run: RunDir, spoil: Spoil, every_n_steps: int | None = None, **setting: Any) -> str:
    trainer, task, data = make(run, Setting(**setting), spoil)
    for callback in trainer.callbacks:
        if isinstance(callback, NonFiniteGuard):
            callback.every_n_steps = every_n_steps
    with pytest.raises(NonFiniteLossError) as caught:
        trainer.fit(task, datamodule=data)
    assert caught.value.exit_code == 1
    return str(caught.value)


def test_non_finite_sample_is_named(tmp_path: Path) -> None:
    spoil = Spoil(20, "inputs")
    message = fail(RunDir(tmp_path), spoil)
    assert message.startswith("step 20 (epoch 1, batch 4): the training loss is nan.")
    assert f"The inputs of sample {spoil.indices[1]} contain NaN or infinity." in message
    assert "The last good checkpoint is kept" in message and "gradient_clip_val" in message
    assert last_checkpoint(RunDir(tmp_path)).step == 15


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_exploding_weights_are_reported_with_their_batch(tmp_path: Path, value: float) -> None:
    spoil = Spoil(17, "weights", value)
    message = fail(RunDir(tmp_path), spoil)
    assert message.startswith("step 17 (epoch 1, batch 1)")
    assert f"Samples of the batch: {', '.join(f'sample {i}' for i in spoil.indices)}." in message
    assert "Try a lower learning rate (now 0.0" in message


def test_batched_checks_name_the_first_bad_step(tmp_path: Path) -> None:
    spoil = Spoil(18, "weights")
    message = fail(RunDir(tmp_path), spoil, every_n_steps=10)
    assert message.startswith("step 18 (epoch 1, batch 2): the training loss is nan.")
    assert f"sample {spoil.indices[0]}" in message


def test_remaining_steps_are_checked_before_the_epoch_ends(tmp_path: Path) -> None:
    assert fail(RunDir(tmp_path), Spoil(14, "inputs"), every_n_steps=100).startswith(
        "step 14 (epoch 0, batch 13)"
    )
    assert last_checkpoint(RunDir(tmp_path)) is None


def test_bad_weights_are_not_saved_between_checks(tmp_path: Path) -> None:
    message = fail(RunDir(tmp_path), Spoil(6, "weights"), every_n_steps=100, checkpoint={"every_n_steps": 4})
    assert message.startswith("step 6 ")
    newest = last_checkpoint(RunDir(tmp_path))
    assert newest.step == 4
    assert all(
        bool(torch.isfinite(x).all()) for x in torch.load(newest, weights_only=True)["state_dict"].values()
    )


def test_number_of_further_samples_is_reported(tmp_path: Path) -> None:
    trainer, task, _ = make(RunDir(tmp_path), Setting(), Spoil(1, "weights"))
    with pytest.raises(NonFiniteLossError, match=r"(sample \d+, ){7}sample \d+ and 12 more\."):
        trainer.fit(task, datamodule=TinyData(batch_size=20))


def test_data_without_sample_names_is_accepted(tmp_path: Path) -> None:
    trainer, task, data = make(RunDir(tmp_path), Setting(), Spoil(2, "weights"))
    data.setup()
    with pytest.raises(
        NonFiniteLossError, match=r"step 2 \(epoch 0, batch 1\): the training loss is nan\. The last"
    ):
        trainer.fit(task, train_dataloaders=data.train_dataloader(), val_dataloaders=data.val_dataloader())


def test_finite_training_is_unchanged(tmp_path: Path) -> None:
    trainer, task, data = make(RunDir(tmp_path), Setting(epochs=1))
    trainer.fit(task, datamodule=data)
    assert len(task.consumed) == NUM_TRAIN


class SpoilGradient(pl.Callback):
    """The loss stays a number, one weight's gradient does not."""

    def __init__(self, step: int):
        self.step = step

    def on_after_backward(self, trainer, pl_module) -> None:
        if trainer.global_step == self.step - 1:
            pl_module.net[0].weight.grad[0, 0] = float("nan")


def test_non_finite_gradient_stops_before_the_weights_change(tmp_path: Path) -> None:
    trainer, task, data = make(RunDir(tmp_path), Setting(), SpoilGradient(17))
    with pytest.raises(
        NonFiniteLossError,
        match=r"^step 17 \(epoch 1, batch 1\): the gradient is not finite in net.0.weight. "
        r"Samples of the batch: sample",
    ):
        trainer.fit(task, datamodule=data)
    assert all(bool(torch.isfinite(p).all()) for p in task.parameters())
    assert last_checkpoint(RunDir(tmp_path)).step == 15


def guarded(run: RunDir, spoil: pl.Callback, **options: Any) -> tuple[pl.Trainer, Any, Any]:
    trainer, task, data = make(run, Setting(epochs=2), spoil)
    trainer.callbacks = [
        NonFiniteGuard(**options) if isinstance(c, NonFiniteGuard) else c for c in trainer.callbacks
    ]
    return trainer, task, data


@pytest.mark.parametrize("spoil", [Spoil(20, "inputs"), SpoilGradient(20)])
def test_skip_drops_one_update_completely(tmp_path: Path, caplog, spoil: pl.Callback) -> None:
    trainer, task, data = guarded(RunDir(tmp_path), spoil, on_non_finite="skip")
    trainer.fit(task, datamodule=data)
    trainer.logger.journal.close()
    state = task.state_dict()
    assert trainer.global_step == 30 and all(bool(torch.isfinite(value).all()) for value in state.values())
    assert trainer.optimizers[0].state_dict()["state"][0]["step"] == 29
    assert "step 20 (epoch 1, batch 4)" in caplog.text and "skipped (1 so far)" in caplog.text
    points = list(read_points(RunDir(tmp_path).metrics_path))
    assert [p.metrics for p in points if "train/skipped_updates" in p.metrics] == [
        {"train/skipped_updates": 1.0}
    ]
    assert all(math.isfinite(value) for p in points for value in p.metrics.values())


def test_endless_skipping_stops(tmp_path: Path) -> None:
    class Always(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
            batch["inputs"][0] = float("nan")

    trainer, task, data = guarded(RunDir(tmp_path), Always(), on_non_finite="skip", most=3)
    with pytest.raises(NonFiniteLossError, match="4 consecutive updates were skipped. step 4 "):
        trainer.fit(task, datamodule=data)


def test_rollback_lowers_the_learning_rate(tmp_path: Path) -> None:
    trainer, task, data = guarded(
        RunDir(tmp_path), Spoil(20, "weights"), on_non_finite="roll_back", lr_factor=0.1
    )
    with pytest.raises(RollBack, match="^step 20 ") as caught:
        trainer.fit(task, datamodule=data)
    assert (caught.value.lr_factor, caught.value.most) == (0.1, 3)


@pytest.mark.parametrize(
    "options",
    [
        {"most": 3},
        {"lr_factor": 0.1},
        {"on_non_finite": "skip", "lr_factor": 0.1},
        {"on_non_finite": "skip", "every_n_steps": 5},
    ],
)
def test_settings_without_effect_are_rejected(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="would have no effect with on_non_finite="):
        NonFiniteGuard(**options)
