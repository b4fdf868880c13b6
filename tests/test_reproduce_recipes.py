"""``scripts/reproduce_recipes``: promises are read, trainings held against them, and what cannot be tried is
told.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from runner.errors import UserError

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "reproduce_recipes.py"
HEAD = """\
# A perceptron on lectures and hours.
# Command:  runner train experiments/tiny.yaml
# Reached:  test/accuracy {accuracy}
"""
BODY = """\
defaults:
  - override /data: pass_fail
  - override /model: perceptron
  - override /tracking: none
trainer:
  max_epochs: 2
plots: false
baselines: false
report: false
"""


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("reproduce_recipes", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def recipe(folder: Path, accuracy: str = "0.6", more: str = "", name: str = "tiny") -> str:
    file = folder / f"{name}.yaml"
    file.write_text(HEAD.format(accuracy=accuracy) + more + BODY, encoding="utf-8")
    return str(file)


def test_promised_figures_are_checked_and_nothing_is_trained_twice(script, tmp_path, capfd):
    where = ["--output", str(tmp_path / "runs")]
    kept = recipe(tmp_path)
    assert script.main([kept, *where]) == 0
    said = capfd.readouterr().out
    assert "promised 0.6" in said and "kept" in said and "reached 0." in said
    results = tmp_path / "runs" / "tiny" / "results.json"
    written = results.stat().st_mtime_ns
    assert script.main([kept, *where]) == 0 and results.stat().st_mtime_ns == written

    boastful = recipe(tmp_path, "1.5")
    os.utime(results)  # as if trained since
    assert script.main([boastful, *where]) == 1
    assert "MISSED" in capfd.readouterr().out


def test_changed_recipe_is_trained_again(script, tmp_path, capfd):
    where = ["--output", str(tmp_path / "runs")]
    (tmp_path / "runs" / "tiny").mkdir(parents=True)
    assert script.main([recipe(tmp_path), *where]) == 1
    assert "older or unfinished run" in capfd.readouterr().out


def test_failed_training_is_reported(script, tmp_path, capfd):
    assert script.main([recipe(tmp_path), "model=nothing", "--output", str(tmp_path / "runs")]) == 1
    assert "FAILED: exit code 2" in capfd.readouterr().out


def test_recipe_without_its_requirements_is_skipped(script, tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("RUNNER_SHARED_DATA", raising=False)
    needy = recipe(tmp_path, more="# Needs:    data.root=roads weights=net*.safetensors\n")
    assert script.main([needy, "--list"]) == 0
    assert (
        "skipped: needs data.root=roads weights=net*.safetensors (--data: no folder was given)"
        in capfd.readouterr().out
    )
    (tmp_path / "roads").mkdir()
    (tmp_path / "net-1.safetensors").touch()
    assert script.main([needy, "--list", "--data", str(tmp_path)]) == 0
    assert "promised 0.6" in capfd.readouterr().out


def test_invalid_input(script, tmp_path, capfd):
    silent = tmp_path / "silent.yaml"
    silent.write_text(BODY, encoding="utf-8")
    assert script.main([str(silent)]) == 2 and "promises nothing" in capfd.readouterr().err
    assert script.main([str(tmp_path / "gone.yaml")]) == 2 and "gone.yaml" in capfd.readouterr().err
    assert (
        script.main([recipe(tmp_path), "--data", str(tmp_path / "gone")]) == 2
        and "no such folder" in capfd.readouterr().err
    )


def test_worse_means_lower_or_higher(script):
    assert script.is_kept("test/map_50", 0.9, 0.883, 0.02) and not script.is_kept(
        "test/map_50", 0.9, 0.881, 0.02
    )
    assert script.is_kept("test/loss", 0.5, 0.509, 0.02) and not script.is_kept("test/loss", 0.5, 0.511, 0.02)


def test_every_shipped_recipe_is_readable(script):
    for path in sorted((SCRIPT.parents[1] / "experiments").glob("*.yaml")):
        try:
            assert script.read_recipe(path).promised
        except UserError as error:
            pytest.fail(str(error))
