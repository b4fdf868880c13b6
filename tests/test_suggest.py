from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from runner.config.experiment import load_config
from runner.config.schema import Config
from runner.errors import ConfigError
from runner.suggest import SYNONYMS, did_you_mean, nearest


@pytest.mark.parametrize(
    ("name", "valid", "first"),
    [
        ("adm", ["adam", "adamw", "sgd"], "adam"),
        ("SDG", ["adam", "sgd"], "sgd"),
        ("hiden_sizes", ["hidden_sizes", "activation"], "hidden_sizes"),
        ("epochs", ["trainer.max_epochs", "seed"], "trainer.max_epochs"),
        ("lr", ["optimizer.lr", "run"], "optimizer.lr"),
        ("regularization.droput", ["model.dropout", "regularization.dropout"], "regularization.dropout"),
        ("factor", ["backbone_lr_factor", "lr"], "backbone_lr_factor"),
        ("trainer.max_epoch", ["trainer.max_epochs", "trainer.min_epochs"], "trainer.max_epochs"),
    ],
)
def test_most_similar_name_comes_first(name: str, valid: list[str], first: str) -> None:
    assert nearest(name, valid)[0] == first


@pytest.mark.parametrize(
    ("name", "valid", "expected"),
    [
        ("learning_rate", ["optimizer.lr", "seed"], ["optimizer.lr"]),
        ("optimizer.learning_rate", ["lr", "eps"], ["lr"]),
        ("num-epochs", ["trainer.max_epochs", "trainer.min_epochs"], ["trainer.max_epochs"]),
        ("dataset", ["data.seed", "data", "data.augment"], ["data"]),
        ("gradcam", ["grad_cam", "occlusion"], ["grad_cam"]),
        ("device", ["hardware", "hardware.precision"], ["hardware.accelerator", "hardware"]),
        ("bs", ["data.batch_size"], ["data.batch_size"]),
    ],
)
def test_usual_names_lead_to_the_key(name: str, valid: list[str], expected: list[str]) -> None:
    assert nearest(name, valid) == expected


def test_every_usual_name_leads_to_keys_of_the_config() -> None:
    tops = {field.name for field in fields(Config)}
    assert {key.partition(".")[0] for keys in SYNONYMS.values() for key in keys} <= tops


def test_clearly_less_similar_names_are_omitted() -> None:
    assert nearest("optimizr", ["optimizer", "optimizer.lr", "minimizer"]) == ["optimizer"]
    assert nearest("dat", ["date", "data", "data2", "dart", "dax"], most=2) == ["date", "data"]
    assert nearest("xyz", ["optimizer"]) == []


def test_did_you_mean() -> None:
    assert did_you_mean("adm", ["adam"]) == "Did you mean 'adam'?"
    assert did_you_mean("adem", ["adam", "adim"]) == "Did you mean 'adam' or 'adim'?"
    assert did_you_mean("xyz", ["b", "a"]) == "Valid: a, b."
    assert did_you_mean("xyz", []) == "No names are valid here."
    assert did_you_mean("xyz", [f"n{i:02}" for i in range(30)]).endswith("n19 ….")


def test_equal_suffixes_do_not_make_files_similar() -> None:
    files = ["sms_spam.yaml", "digits_mlp.yaml", "airline.yaml"]
    assert did_you_mean("digits_mpl.yaml", files, dotted=False) == "Did you mean 'digits_mlp.yaml'?"


def test_mistyped_experiment_gets_the_nearest_file(tmp_path: Path) -> None:
    for name in ("sms_spam", "digits_mlp", "airline"):
        (tmp_path / f"{name}.yaml").touch()
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "digits_mpl.yaml")
    assert str(caught.value).endswith("Did you mean 'digits_mlp.yaml'?")
