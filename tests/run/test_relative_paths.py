"""A run that was trained with a relative path is used from another directory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from runner.cli import main
from runner.run.directory import RunDir, absolute_paths
from runner.run.files import read_json, write_json
from tests.overrides import QUIET

WORDS = [
    "data=csv",
    "data.path=d.csv",
    "data.target=y",
    *QUIET,
    "hardware=cpu",
]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """A directory beside one that has a table and a run, ``start/runs/here``."""
    start, elsewhere = tmp_path / "start", tmp_path / "elsewhere"
    start.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(start)
    x = np.random.default_rng(1).normal(size=60).round(3)
    pd.DataFrame({"x1": x, "y": np.where(x > 0, "p", "q")}).to_csv("d.csv", index=False)
    assert main(["train", *WORDS, "trainer.max_epochs=1", "run.name=here"]) == 0
    monkeypatch.chdir(elsewhere)
    return elsewhere


def test_evaluate_resume_and_reproduce_from_elsewhere_and_after_a_move(elsewhere, capsys):
    run = Path("../start/runs/here")
    assert main(["evaluate", str(run), "--split", "test"]) == 0
    assert main(["evaluate", str(run), "--split", "test", "data.batch_size=7"]) == 0
    assert main(["reproduce", str(run)]) == 0, capsys.readouterr().err
    assert main(["resume", str(run), "trainer.max_epochs=2"]) == 0, capsys.readouterr().err
    assert "path: d.csv" in (run / "config.yaml").read_text()
    shutil.move(run, "moved")
    assert main(["evaluate", "moved", "--split", "test"]) == 0
    assert main(["resume", "moved", "trainer.max_epochs=3"]) == 0
    os.remove("../start/d.csv")
    capsys.readouterr()
    assert main(["evaluate", "moved", "--split", "test"]) == 2
    assert str(elsewhere.parent / "start" / "d.csv") in capsys.readouterr().err


def test_path_override_is_relative_to_the_cwd(elsewhere, capsys):
    shutil.copy("../start/d.csv", "new.csv")
    assert main(["evaluate", "../start/runs/here", "--split", "test", "data.path=new.csv"]) == 0, (
        capsys.readouterr().err
    )


def test_path_values_are_recognised(elsewhere):
    run = RunDir("../start/runs/here")
    start = elsewhere.parent / "start"
    config = {
        "data": {"path": ["d.csv", "/a/b"], "target": "y", "root": "http://x", "data_dir": "~/x"},
        "weights": "w.pt",
    }
    data = {"path": [str(start / "d.csv"), "/a/b"], "target": "y", "root": "http://x", "data_dir": "~/x"}
    assert absolute_paths(run, config) == {"data": data, "weights": str(start / "w.pt")}
    assert absolute_paths(run, config, ["data.path", "weights"])["data"]["path"] == ["d.csv", "/a/b"]


def test_run_without_a_working_directory(elsewhere):
    run = RunDir("../start/runs/here")
    provenance = read_json(run.provenance_path)
    del provenance["working_directory"]
    write_json(run.provenance_path, provenance)
    assert absolute_paths(run, {"data": {"path": "d.csv"}}) == {"data": {"path": "d.csv"}}


@pytest.mark.parametrize(
    "words",
    [
        ["train", "CONFIG", "run.name=again", "trainer.max_epochs=1"],
        ["config", "check", "CONFIG"],
        ["config", "check", "../start/runs/here"],
    ],
    ids=" ".join,
)
def test_config_of_a_run_from_another_directory(elsewhere, capsys, words):
    words = [word.replace("CONFIG", "../start/runs/here/config.yaml") for word in words]
    assert main(words) == 0, capsys.readouterr().err


def test_path_override_of_a_run_config_is_relative_to_the_cwd(elsewhere, capsys):
    shutil.copy("../start/d.csv", "new.csv")
    words = ["train", "../start/runs/here/config.yaml", "run.name=again", "data.path=new.csv"]
    assert main(words) == 0, capsys.readouterr().err
    assert "path: new.csv" in Path("runs/again/config.yaml").read_text()


def test_best_config_of_a_sweep_from_another_directory(elsewhere, monkeypatch, capsys):
    monkeypatch.chdir("../start")
    sweep = ["sweep", *WORDS, "trainer.max_epochs=1", "optimizer.lr=choice(0.1,0.01)", "sweep.num_trials=1"]
    assert main([*sweep, "sweep.name=search"]) == 0, capsys.readouterr().err
    monkeypatch.chdir(elsewhere)
    words = ["train", "../start/runs/search/best.yaml", "run.name=best"]
    assert main(words) == 0, capsys.readouterr().err
