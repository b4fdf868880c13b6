from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString

import runner
from runner.config.overrides import as_overrides
from runner.errors import ConfigError, UserError

QUICK = {
    "tracking": "none",
    "hardware": "cpu",
    "trainer": {"max_epochs": 1, "limit_train_batches": 3},
    "plots": False,
    "report": False,
}


def test_public_names() -> None:
    functions = {"evaluate", "load_run", "predict", "train", "resume", "compare", "find_lr", "load_data"}
    assert set(dir(runner)) == {"__version__", *functions, "explain", "report", "sweep"}
    for name in runner.__all__:
        assert getattr(runner, name)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        runner.trian  # noqa: B018


def test_train_and_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = runner.train("model=mlp", "run.name=mine", optimizer={"lr": 0.01}, **QUICK)
    assert run.status.state == "finished"
    assert run.config["optimizer"]["lr"] == 0.01
    assert run.metrics()["val/accuracy"]
    assert runner.load_run("mine").results == run.results
    assert runner.evaluate("mine", split="val") == pytest.approx(run.results["val"], rel=1e-4)
    assert runner.evaluate("latest", data={"eval_batch_size": 7})["test/loss"] == pytest.approx(
        run.results["test"]["test/loss"], rel=1e-4
    )
    with pytest.raises(UserError, match="split_seed=3 would change the splits"):
        runner.evaluate("latest", data={"split_seed": 3})


def test_problems_are_raised_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        runner.train(modle="mlp", optimizer={"lr": "fast"})
    assert len(caught.value.problems) == 2
    assert not (tmp_path / "runs").exists()


def read_back(line: str) -> object:
    value = OverridesParser.create().parse_override(line).value()
    return value.text if isinstance(value, QuotedString) else value


def plain(value: object) -> object:
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


LETTERS = "ab'\\ ,={}[]\"$:0.#~é"
SAMPLES = ["".join(random.Random(seed).choices(LETTERS, k=seed % 8)) for seed in range(400)]
WORDS = [
    "mlp",
    "a b",
    "it's",
    "C:\\x",
    "end\\",
    "~/home",
    "./x",
    "/data/x",
    "5",
    "1e-3",
    "null",
    "True",
    "",
    ".5",
    "nan",
]


def test_values_are_passed_unchanged() -> None:
    values = [
        *WORDS,
        *SAMPLES,
        None,
        True,
        False,
        3,
        -2.5,
        1e-9,
        math.inf,
        [1, "a b", None],
        {"a": "it's"},
        [],
    ]
    for value in values:
        (line,) = (
            as_overrides({"key": value}) if not isinstance(value, dict) else as_overrides({"key": [value]})
        )
        expected = [value] if isinstance(value, dict) else value
        assert plain(read_back(line)) == expected, line


def test_dicts_set_nested_keys() -> None:
    assert as_overrides({"model": "mlp", "optimizer": {"lr": 0.1, "betas": [0.9, 0.99]}}) == [
        "model=mlp",
        "optimizer.lr=0.1",
        "optimizer.betas=[0.9,0.99]",
    ]
