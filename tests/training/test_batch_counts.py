"""A training without samples, features, steps or validation is rejected before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from runner.cli import main
from runner.errors import UserError
from runner.training.execution import check_trained
from tests.overrides import QUIET

QUICK = [
    "data=csv",
    "data.path=d.csv",
    "data.target=y",
    "auto=false",
    *QUIET,
    "hardware=cpu",
]


def table(num_rows: int = 300) -> None:
    x1, x2 = np.random.default_rng(1).normal(size=(2, num_rows)).round(3)
    pd.DataFrame({"x1": x1, "x2": x2, "y": np.where(x1 + x2 > 0, "p", "q")}).to_csv("d.csv", index=False)


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """Runs ``runner train`` on a table of 300 rows: 180 training samples, 3 batches of 64 (64, 64, 52)."""
    monkeypatch.chdir(tmp_path)
    table()

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["train", *QUICK, *words])
        return code, capsys.readouterr().err

    return run


REJECTED = [
    (["trainer.max_epochs=2", "trainer.val_check_interval=1000"], "an epoch has 3 batches"),
    (["trainer.max_epochs=2", "trainer.val_check_interval=4"], "an epoch has 3 batches"),
    (
        ["trainer.max_epochs=2", "trainer.limit_train_batches=2", "trainer.val_check_interval=3"],
        "an epoch has 2 batches",
    ),
    (
        ["trainer.max_epochs=2", "trainer.val_check_interval=7", "trainer.check_val_every_n_epoch=null"],
        "has 6 batches",
    ),
    (["trainer.max_epochs=3", "trainer.check_val_every_n_epoch=4"], "the whole training has 3 epochs"),
    (["trainer.val_check_interval=0"], "trainer.val_check_interval=0: expected a number above 0"),
    (["trainer.max_time=00:00:00:00"], "trainer.max_time=00:00:00:00: expected a duration above 0"),
    (["trainer.max_time={seconds:0}"], "expected a duration above 0"),
    (["trainer.limit_train_batches=0.1"], "the train split has 3 batches of 64. Give at least 0.34"),
    (["trainer.limit_val_batches=0.4"], "the val split has 1 batches of 64. Give at least 1"),
    (["trainer.limit_test_batches=0.4"], "the test split has 1 batches of 64"),
    (["data.drop_last=true", "data.batch_size=181"], "the training split has 180 samples"),
    (["data.drop_last=true", "data.batch_size=200", "debug=overfit"], "the training split has 180 samples"),
    (
        ["data.drop_last=true", "data.batch_size=200", "sampling.balance=1"],
        "the training split has 180 samples",
    ),
    (["data.drop_last=true", "data.batch_size=241", "folds=5"], "samples, fewer than one batch"),
    (["trainer.limit_val_batches=0", "regularization.early_stopping.patience=3"], "turns validation off"),
    (["trainer.limit_val_batches=0", "scheduler=plateau"], "scheduler.monitor=val/loss cannot work"),
    (["model.normalization=batch", "data.batch_size=1"], "batch norm over vectors"),
    (["model.normalization=batch", "data.batch_size=5", "hardware.micro_batch=2"], "batch norm over vectors"),
    (
        ["model.normalization=batch", "data.batch_size=4", "hardware.micro_batch=1"],
        "Raise hardware.micro_batch",
    ),
]


@pytest.mark.parametrize(("words", "message"), REJECTED, ids=[" ".join(words) for words, _ in REJECTED])
def test_setting_that_leaves_no_data_is_rejected_without_a_run(train, words, message):
    code, error = train("trainer.max_epochs=1", *words)
    assert code == 2 and error.count("error:") == 1, error
    assert message in error and "Traceback" not in error
    assert not [path for path in Path("runs").glob("*") if path.is_dir() and not path.name.startswith(".")]


ACCEPTED = [
    ["trainer.val_check_interval=3"],
    ["trainer.val_check_interval=6", "trainer.max_epochs=2", "trainer.check_val_every_n_epoch=null"],
    ["trainer.limit_train_batches=0.34"],
    ["trainer.max_epochs=2", "trainer.check_val_every_n_epoch=2"],
    ["hardware=auto", "hardware.precision=32", "hardware.channels_last=false"],
    ["data.drop_last=true", "data.batch_size=180"],
    ["trainer.limit_val_batches=0"],
    ["model.normalization=batch", "data.batch_size=179"],
    ["model.normalization=layer", "data.batch_size=30", "hardware.micro_batch=1"],
]  # fmt: skip


@pytest.mark.parametrize("words", ACCEPTED, ids=" ".join)
def test_boundary_values_train(train, words):
    code, error = train("trainer.max_epochs=1", *words)
    assert code == 0, error


def test_batch_norm_over_one_pixel_maps_needs_two_samples(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [
        "data=digits",
        "model=resnet18",
        "data.batch_size=1",
        "tracking=none",
        "hardware=cpu",
        "trainer.max_epochs=1",
    ]
    assert main(["train", *words]) == 2  # 8 × 8 pixels are 1 × 1 in the last stage
    assert "needs two samples" in capsys.readouterr().err


def test_training_without_an_update_reports_no_metrics():
    check_trained(1)
    with pytest.raises(UserError, match="without a single optimizer update"):
        check_trained(0)
