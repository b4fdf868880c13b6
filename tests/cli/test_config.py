from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf


def test_show_only_composes(say) -> None:
    said = say("config", "show", "model=logistic", "data=diabetes", "optimizer.lr=0.5")
    assert said.code == 0
    config = OmegaConf.create(said.out)
    assert config.optimizer.lr == 0.5
    assert config.task._target_.endswith("RegressionTask")
    assert "${facts:" in said.out


def test_shown_config_can_be_trained(say, here: Path) -> None:
    (here / "shown.yaml").write_text(say("config", "show", "model=mlp", "seed=3").out)
    assert say("config", "check", "shown.yaml").code == 0
    again = say("config", "show", "shown.yaml", "seed=4", "--json")
    assert json.loads(again.out)["seed"] == 4


def test_show_rejects_invalid_configs(say) -> None:
    said = say("config", "show", "modl=mlp", "data=digitz")
    assert said.code == 2
    assert "2 mistakes" in said.err and "'digits'" in said.err


def test_show_a_run(say, trained: Path) -> None:
    said = say("config", "show", "first", "--root", str(trained))
    assert said.code == 0
    assert "${" not in said.out
    assert OmegaConf.create(said.out).model.num_classes == 10


def test_check_prints_the_chosen_options(say) -> None:
    said = say("config", "check", "model=logistic")
    assert said.code == 0
    assert "data=digits model=logistic" in said.out


def test_check_finds_every_problem(say) -> None:
    said = say("config", "check", "model.hiden_sizes=[3]", "optimizer.lr=fast", "trainer.max_epochs=0")
    assert said.code == 2
    assert said.err.startswith("error: 3 mistakes in the config:")
    assert "hidden_sizes" in said.err


@pytest.mark.parametrize("words", [["optimizer"], ["optimizer=sgd", "optimizer"]])
def test_schema_of_a_node(words: list[str], say) -> None:
    said = say("config", "schema", *words)
    assert said.code == 0
    rows = {line.split()[0] for line in said.out.splitlines() if line.strip()}
    assert {"optimizer.lr", "optimizer.weight_decay"} <= rows
    assert ("optimizer.nesterov" in rows) == (len(words) == 2)


def test_schema_of_a_disabled_node(say) -> None:
    said = say("config", "schema", "folds")
    assert said.code == 0 and "folds.num_folds" in said.out and "int, >= 2" in said.out


def test_schema_shows_types_and_bounds(say) -> None:
    schema = json.loads(say("config", "schema", "data", "regularization", "--json").out)
    assert set(schema) == {"data", "regularization"}
    keys = {key["name"]: key for key in schema["data"]}
    assert keys["batch_size"]["type"] == "int, > 0"
    dropout = next(key for key in schema["regularization"] if key["name"] == "dropout")
    assert dropout["type"].startswith("float, >= 0")


def test_schema_of_the_whole_config(say) -> None:
    schema = json.loads(say("config", "schema", "--json").out)
    assert {"", "data", "model", "optimizer", "trainer", "hardware", "run"} <= set(schema)
    assert "seed" in {key["name"] for key in schema[""]}


def test_schema_of_an_unknown_node(say) -> None:
    said = say("config", "schema", "optimiser")
    assert said.code == 2
    assert "Did you mean 'optimizer'?" in said.err
