from __future__ import annotations

import logging
from pathlib import Path

import pytest

from runner.config.checks.check import check, check_config, data_problems
from runner.config.compose import compose
from runner.errors import ConfigError


def test_check_raises_all_problems(here: Path) -> None:
    with pytest.raises(ConfigError) as error:
        check(compose(["optimizr=adam", "optimizer.lr=fast"]))
    assert [(problem.key, problem.kind) for problem in error.value.problems] == [
        ("optimizr", "unknown_key"),
        ("optimizer.lr", "wrong_type"),
    ]
    assert error.value.exit_code == 2
    assert check(compose()) is None


def test_wrong_value_is_reported_at_its_source(here: Path) -> None:
    """Other nodes take it from there, and would complain as well."""
    problems = check_config(
        compose(["seed=-1", "regularization.weight_decay=-1", "regularization.dropout=x"])
    )
    assert [(problem.key, problem.kind) for problem in problems] == [
        ("seed", "out_of_bounds"),
        ("regularization.dropout", "wrong_type"),
        ("regularization.weight_decay", "out_of_bounds"),
    ]
    assert all(str(problem).startswith(f"{problem.key}=") for problem in problems)


def test_other_values_of_a_node_that_copies_an_invalid_one(here: Path) -> None:
    problems = check_config(compose(["regularization.weight_decay=-1", "optimizer.lr=-1"]))
    assert [problem.key for problem in problems] == ["regularization.weight_decay", "optimizer.lr"]
    assert problems[1].kind == "rejected" and "Invalid learning rate: -1" in problems[1].message


def test_value_that_is_wrong_only_where_it_is_used(here: Path) -> None:
    (problem,) = check_config(compose(["model.activation=${run.root}"]))
    assert problem.key == "model.activation" and str(problem).startswith("model.activation=")


def test_data_problems_only(here: Path) -> None:
    composition = compose(["optimizer.lr=fast", "data.batch_size=0", "modl=mlp"])
    problems = data_problems(composition)
    assert len(problems) == 2
    assert (problems[0].key, problems[0].kind) == ("modl", "unknown_key") and "modl" in str(problems[0])
    assert (problems[1].key, problems[1].kind) == ("data.batch_size", "out_of_bounds")
    assert "data.batch_size" in str(problems[1])
    (problem,) = data_problems(compose(["data=image_folder", "data.root=nowhere"]))
    assert problem.key == "data" and problem.kind == "rejected" and "nowhere" in problem.message


HOLD = """\
import pytorch_lightning as pl

class Hold(pl.Callback):
    def __init__(self, layer, count: int = 0):
        pass
"""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("[{_target_: torch.nn.ReLU}]", []),
        ("[{_target_: torch.nn.ReLU}, 3]", []),
        ("[{_target_: torch.nn.Linear, _args_: [1, 2]}]", []),
        ("[{_target_: torch.nn.Sequential, _args_: [{_target_: torch.nn.ReLU}]}]", []),
        ("[{_target_: torch.nn.ReLU}, x]", ['callbacks.mine.count="x": expected a whole number']),
        ("[{_target_: torch.nn.Linear, _args_: [1, x]}]", ['callbacks.mine.layer.out_features="x"']),
        ("[{_target_: torch.nn.Linear, _args_: [1]}]", ["Linear requires 'out_features'"]),
        ("[1, 2, 3]", ["_args_ holds 3 arguments, expected at most 2"]),
        ("5", ["callbacks.mine._args_=5: expected a list"]),
        ("[]", ["Hold requires 'layer'"]),
    ],
)
def test_positional_arguments(args: str, said: list[str], find, write) -> None:
    write("mine.py", HOLD)
    write("conf/callbacks/mine.yaml", f"mine:\n  _target_: mine.Hold\n  _args_: {args}\n")
    problems = find("callbacks=mine")
    assert bool(problems) == bool(said), problems
    assert all(any(words in str(problem) for problem in problems) for words in said), problems
    assert all(problem.concerns("callbacks.mine") for problem in problems)


def test_argument_given_twice(find, write) -> None:
    write("mine.py", HOLD)
    write("conf/callbacks/mine.yaml", "mine: {_target_: mine.Hold, layer: 1, _args_: [2]}\n")
    (problem,) = find("callbacks=mine")
    assert (problem.key, problem.kind) == ("callbacks.mine.layer", "duplicate")
    assert str(problem) == "callbacks.mine.layer: given twice, by name and in _args_."


def test_trial_builds_are_silent(here: Path, caplog, capsys, recwarn) -> None:
    before = logging.getLogger("pytorch_lightning").level
    assert (
        check_config(compose(["trainer.benchmark=true", "trainer.deterministic=true", "scheduler=one_cycle"]))
        == []
    )
    assert not caplog.records and not capsys.readouterr().out and not recwarn.list
    assert logging.getLogger("pytorch_lightning").level == before


def test_trial_builds_do_not_change_torch(here: Path) -> None:
    import torch

    state = torch.get_rng_state()
    check_config(compose(["trainer.deterministic=true", "trainer.detect_anomaly=true"]))
    assert not torch.are_deterministic_algorithms_enabled() and not torch.is_anomaly_enabled()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "sqlite:///x.db", "postgresql+psycopg2://u@h/d"])
def test_tracking_stores(uri: str, find) -> None:
    assert find(f"tracking.uri='{uri}'") == []


def test_existing_weights(find, write) -> None:
    write("w.safetensors")
    assert find("weights=w.safetensors", "model=resnet18", "data=mnist") == []


@pytest.mark.parametrize("root", ["a/b/c", ".", "runs", "/tmp"])
def test_folders_for_runs(root: str, find) -> None:
    assert find(f"run.root={root}") == []
