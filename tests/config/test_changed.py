from __future__ import annotations

from runner.config.changed import changed_settings
from runner.config.compose import compose
from runner.launch.local import prepare
from runner.run.files import read_json
from runner.run.provenance import recorded_changes


def test_options_and_values_that_differ_from_the_default_config() -> None:
    overrides = [
        "model=logistic",
        "optimizer.lr=0.003",
        "regularization.ema=0.9",
        "run.name=x",
        "+data.drop_last=true",
    ]
    assert changed_settings(compose(overrides)) == {
        "model": ["mlp", "logistic"],
        "optimizer.lr": [0.001, 0.003],
        "regularization.ema": [None, 0.9],
        "data.drop_last": [None, True],
    }
    assert changed_settings(compose()) == {}


def test_a_new_run_records_them_apart_from_the_changes_of_a_resumed_one(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = prepare(compose(["model=logistic", "run.name=r"]), ["runner", "train"])
    assert read_json(run.provenance_path)["changed_settings"]["model"] == ["mlp", "logistic"]
    assert recorded_changes(run) == {}
