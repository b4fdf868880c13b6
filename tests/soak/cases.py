"""What is soaked: the tiny training under many settings, and the program's own worker on real data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from soak.kill import Case
from soak.tiny import Setting, digest, train

import runner.training.trainer as stack
from runner.config.compose import compose
from runner.config.plain import to_yaml
from runner.errors import ConfigError
from runner.run.checkpoints import last_checkpoint
from runner.run.directory import RunDir
from runner.run.files import write_text
from runner.run.journal import read_points
from runner.training.worker import execute
from tests.overrides import QUIET, SMALL_FASTER_RCNN

__all__ = ["TINY", "WORKER"]

STEPS = {"every_n_steps": 4}
SETTINGS = [
    Setting("epoch ends"),
    Setting("epoch ends, 2 workers", num_workers=2),
    Setting("every 4 steps", checkpoint=STEPS),
    Setting("every 4 steps, 2 workers", num_workers=2, checkpoint=STEPS),
    Setting("every step", checkpoint={"every_n_steps": 1}),
    Setting("accumulate 2", accumulate=2, checkpoint={"every_n_steps": 3}),
    Setting("validation in mid-epoch", val_check_interval=0.2, checkpoint={"every_n_steps": 3}),
    Setting("validation in mid-epoch, accumulate 2", val_check_interval=0.3, accumulate=2, checkpoint=STEPS),
    Setting("validation every 2 epochs", epochs=4, check_val_every_n_epoch=2, checkpoint=STEPS),
    Setting(
        "plateau by mid-epoch metric", val_check_interval=0.4, plateau=True, checkpoint={"every_n_steps": 2}
    ),
    Setting("plateau, early stopping", epochs=8, plateau=True, patience=1, checkpoint={"every_n_steps": 7}),
    Setting("max_steps in mid-epoch", trainer={"max_steps": 38}, epochs=9, checkpoint=STEPS),
    Setting(
        "limit_train_batches, 2 workers", trainer={"limit_train_batches": 11}, num_workers=2, checkpoint=STEPS
    ),
]
TINY = [Case(setting.name, lambda run, *more, s=setting: train(run, s, *more)) for setting in SETTINGS]

QUICK = [
    *QUIET, "hardware=cpu", "trainer.max_epochs=3",
    "+trainer.limit_train_batches=25",
]  # fmt: skip
TEXT = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"
FEW = ["data.num_train=10", "data.num_val=2", "data.num_test=2", "trainer.max_epochs=2"]
TASKS = {
    "classification": [
        "model=small_cnn",
        "data=digits",
        "regularization=strong",
        "checkpoint.every=5 steps",
        "+trainer.limit_train_batches=15",
        "+trainer.limit_val_batches=3",
    ],
    "regression": ["model=mlp", "data=diabetes", "scheduler=one_cycle", "checkpoint.every=6 steps"],
    "detection": [
        "data=shapes_detection",
        "model=ssdlite",
        "model.size=64",
        *FEW,
        "data.image_size=64",
        "data.batch_size=2",
        "checkpoint.every=2 steps",
    ],
    "segmentation": [
        "data=shapes_segmentation",
        "model=unet",
        *FEW,
        "data.image_size=32",
        "data.batch_size=2",
        "checkpoint.every=2 steps",
        "regularization=strong",
    ],
    "sequence": [
        "data=brackets",
        "data.num_samples=100",
        "data.batch_size=8",
        "model=lstm",
        "model.hidden_size=8",
        "model.pooling=attention",
        "regularization.dropout=0.2",
        "checkpoint.every=3 steps",
    ],
    "labelling": [
        "data=bracket_depth",
        "data.num_samples=100",
        "data.batch_size=8",
        "model=gru",
        "model.hidden_size=8",
        "regularization.dropout=0.2",
        "checkpoint.every=3 steps",
    ],
    "seq2seq": [
        "data=dates",
        "data.num_train=64",
        "data.num_val=4",
        "data.num_test=4",
        "data.batch_size=8",
        "model.hidden_size=8",
        "model.embed_dim=8",
        "task.max_steps=12",
        "checkpoint.every=3 steps",
    ],
    "forecasting": [
        "data=waves",
        "data.batch_size=16",
        "model=lstm",
        "model.hidden_size=8",
        "regularization.dropout=0.2",
        "checkpoint.every=5 steps",
        "+trainer.limit_train_batches=12",
        "+trainer.limit_val_batches=2",
        "+trainer.limit_test_batches=2",
    ],
    "word vectors": [
        "data=word_pairs",
        f"data.path={TEXT}",
        "data.min_count=2",
        "data.batch_size=64",
        "model=skip_gram",
        "regularization=none",
        "checkpoint.every=5 steps",
        "+trainer.limit_train_batches=12",
    ],
    "language": [
        "data=text_file",
        f"data.path={TEXT}",
        "data.window=16",
        "data.batch_size=4",
        "model=gru",
        "model.hidden_size=8",
        "model.num_layers=2",
        "regularization.dropout=0.2",
        "checkpoint.every=5 steps",
        "+trainer.limit_train_batches=12",
        "+trainer.limit_val_batches=2",
        "+trainer.limit_test_batches=2",
    ],
}
"""A task's smallest training. Each is soaked with 0, 1 and 2 loader workers; a new task is a new line."""
OVERRIDES = {
    f"{task}, {count} workers": [*overrides, f"data.num_workers={count}"]
    for task, overrides in TASKS.items()
    for count in (0, 1, 2)
} | {
    "digits small_cnn, accumulate 2": [
        "model=small_cnn",
        "data=digits",
        "regularization=strong",
        "+trainer.accumulate_grad_batches=2",
        "checkpoint.every_n_steps=5",
    ],
    "digits small_cnn, validation in mid-epoch": [
        "model=small_cnn",
        "data=digits",
        "data.num_workers=2",
        "scheduler=plateau",
        "+trainer.val_check_interval=10",
        "checkpoint.every_n_steps=4",
    ],
    "digits mlp, early stopping, written at once": [
        "model=mlp",
        "data=digits",
        "data.num_workers=2",
        "checkpoint.every_n_steps=8",
        "checkpoint.asynchronous=false",
        "+regularization.early_stopping={patience: 1}",
        "trainer.max_epochs=5",
    ],
    "digits small_cnn, moving average, mixup for an epoch": [
        "model=small_cnn",
        "data=digits",
        "regularization.ema=0.9",
        "regularization.mixup=0.2",
        "regularization.mix_epochs=1",
        "regularization.weight_noise=0.01",
        "checkpoint.every_n_steps=4",
    ],
    "digits small_cnn, averaged epochs": [
        "model=small_cnn",
        "data=digits",
        "regularization.swa=0.4",
        "checkpoint.every_n_steps=6",
    ],
    "detection by faster_rcnn": [
        "data=shapes_detection",
        *FEW,
        "data.image_size=64",
        "data.batch_size=2",
        "checkpoint.every_n_steps=2",
        *SMALL_FASTER_RCNN,
    ],
}


class Recorder(pl.Callback):
    """Every sample trained on, as ``[epoch, index]``, in order; travels with the checkpoints."""

    def __init__(self) -> None:
        self.consumed: list[list[int]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: dict, batch_idx: int) -> None:
        self.consumed += [[trainer.current_epoch, index] for index in batch["index"].tolist()]

    def state_dict(self) -> dict[str, Any]:
        return {"consumed": [list(pair) for pair in self.consumed]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.consumed = state["consumed"]


def work(overrides: list[str], run: RunDir, *more: pl.Callback) -> dict[str, Any]:
    """The worker on a run directory, made first where there is none."""
    if not run.config_path.exists():
        for folder in (run.checkpoints, run.plots, run.logs):
            folder.mkdir(parents=True)
        write_text(run.config_path, to_yaml(composed(overrides)), durable=True)
    recorder = Recorder()
    with watched_by(recorder, *more):
        results = execute(run)
    return outcome(run, results, recorder)


def composed(overrides: list[str]) -> Any:
    """The config of a case; its own values win.

    Raises:
        ConfigError: it is not one that the command line would take.
    """
    own = {override.partition("=")[0].lstrip("+") for override in overrides}
    general = [override for override in QUICK if override.partition("=")[0].lstrip("+") not in own]
    composition = compose([*general, *overrides])
    if composition.problems:
        raise ConfigError(composition.problems)
    return composition.config


@contextmanager
def watched_by(*callbacks: pl.Callback) -> Iterator[None]:
    make_callbacks = stack.make_callbacks
    stack.make_callbacks = lambda *args: [*make_callbacks(*args), *callbacks]
    try:
        yield
    finally:
        stack.make_callbacks = make_callbacks


def outcome(run: RunDir, results: dict[str, Any], recorder: Recorder) -> dict[str, Any]:
    """All that must be equal however often the run was killed."""
    state = torch.load(last_checkpoint(run), weights_only=True)
    points = [[point.step, point.epoch, point.metrics] for point in read_points(run.metrics_path)]
    return {
        "digest": digest([state[key] for key in ("state_dict", "optimizer_states", "lr_schedulers")]),
        "random": digest(state["recovery"]["random"]),
        "consumed": recorder.consumed,
        "points": points,
        "results": {key: value for key, value in results.items() if key != "seconds"},
    }


WORKER = [Case(name, partial(work, overrides)) for name, overrides in OVERRIDES.items()]


def folder_of(root: Path, case: Case) -> Path:
    return root / "".join(letter if letter.isalnum() else "_" for letter in case.name)
