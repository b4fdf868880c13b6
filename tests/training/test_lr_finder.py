"""The learning-rate finder in a worker: nothing after it knows that it was there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from runner.config.checks.check import check
from runner.config.compose import compose
from runner.errors import ConfigError, RunFailedError
from runner.launch.local import launch, prepare
from runner.optim.range_test import RangeTest
from runner.run.checkpoints import last_checkpoint
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.journal import load_metrics, read_points
from tests.overrides import QUIET

QUICK = [
    "hardware=cpu",
    *QUIET,
    "trainer.max_epochs=1",
    "data.batch_size=32",
    "lr_finder.num_steps=30",
    "lr_finder.min_lr=1e-5",
]


def run(root: Path, name: str, *words: str) -> RunDir:
    composition = compose([*QUICK, f"run.root={root}", f"run.name={name}", *words])
    check(composition)
    directory = prepare(composition)
    launch(directory)
    return directory


def trained(directory: RunDir) -> dict[str, Any]:
    state = torch.load(last_checkpoint(directory), weights_only=True)
    return {key: state[key] for key in ("state_dict", "optimizer_states", "lr_schedulers")} | {
        "random": state["recovery"]["random"]["torch"],
        "points": [(point.step, point.metrics) for point in read_points(directory.metrics_path)],
    }


def test_auto_learning_rate_trains_bit_for_bit_like_the_found_value(tmp_path, same):
    """Weights, optimizer, schedule, random state, metrics: the range test left no trace, and a resume has the
    number.
    """
    found = run(tmp_path, "auto", "optimizer.lr=auto", "scheduler=one_cycle")
    rate = OmegaConf.load(found.config_path).optimizer.lr
    assert rate == pytest.approx(
        read_json(found.path / "lr_finder.json")["suggestions"]["steepest"], rel=0.01
    )
    given = run(tmp_path, "given", f"optimizer.lr={rate}", "scheduler=one_cycle")
    assert same(trained(found), trained(given))


@pytest.mark.parametrize(
    "words",
    [
        ["data=diabetes"],
        ["model=small_cnn", "optimizer=sgd", "+trainer.accumulate_grad_batches=3", "transfer=frozen"],
        ["task=binary", "data=pass_fail", "optimizer=adagrad"],
    ],
    ids=["regression", "frozen, accumulating", "binary"],
)
def test_other_tasks_and_training_modes(tmp_path, words):
    directory = run(tmp_path, "found", "debug=find_lr", *words)
    test = read_json(directory.path / "lr_finder.json")
    assert len(test["rates"]) == len(test["losses"]) <= 30
    assert test["rates"][0] == pytest.approx(1e-5) and test["rates"] == sorted(test["rates"])
    metrics = load_metrics(directory.metrics_path)
    assert [value for _, _, value in metrics["find_lr/lr"]] == pytest.approx(test["rates"])
    assert not list(directory.checkpoints.iterdir()) and (directory.plots / "lr_finder.png").is_file()
    assert read_json(directory.results_path)["find_lr"] == test["suggestions"]


def test_accumulated_batches_log_one_point(tmp_path):
    """One point an optimizer update: the mean loss of its batches, which a fixed model gives away."""
    still = ["debug=find_lr", "optimizer=sgd", "lr_finder.min_lr=1e-12", "lr_finder.max_lr=1e-11",
             "regularization=none"]  # fmt: skip
    plain = run(tmp_path, "plain", *still)
    summed = run(tmp_path, "summed", *still, "lr_finder.num_steps=10", "+trainer.accumulate_grad_batches=3")
    losses = torch.tensor(read_json(plain.path / "lr_finder.json")["losses"])
    assert read_json(summed.path / "lr_finder.json")["losses"] == pytest.approx(
        losses.reshape(10, 3).mean(1).tolist()
    )


def test_range_test_without_a_suggestion_fails_without_training(tmp_path):
    with pytest.raises(RunFailedError, match="found no learning rate by 'steepest'"):
        run(tmp_path, "flat", "optimizer.lr=auto", "lr_finder.min_lr=1e-12", "lr_finder.max_lr=1e-11")
    assert not list((tmp_path / "flat" / "checkpoints").iterdir())
    assert OmegaConf.load(tmp_path / "flat" / "config.yaml").optimizer.lr == "auto"


def test_max_lr_must_exceed_min_lr():
    with pytest.raises(ConfigError, match="lr_finder.max_lr"):
        check(compose(["lr_finder.min_lr=1", "lr_finder.max_lr=0.1"]))
    with pytest.raises(ConfigError, match="optimizer.lr=.best.: expected a number"):
        check(compose(["optimizer.lr=best"]))


def test_record_contains_plain_values():
    assert RangeTest([1.0], [2.0], [2.0], {"valley": 1.0}, "done").as_dict()["suggestions"] == {"valley": 1.0}


@pytest.mark.slow
def test_two_ranks_find_the_losses_of_one(tmp_path):
    quick = [
        "debug=find_lr",
        "lr_finder.num_steps=12",
        "regularization.dropout=0",
        "regularization.augment=null",
    ]
    one = run(tmp_path, "one", *quick)
    two = run(tmp_path, "two", *quick, "hardware=cpu_ddp")
    losses = [read_json(directory.path / "lr_finder.json")["losses"] for directory in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    trained_run = run(tmp_path, "trained", "optimizer.lr=auto", "hardware=cpu_ddp")
    assert isinstance(OmegaConf.load(trained_run.config_path).optimizer.lr, float)
