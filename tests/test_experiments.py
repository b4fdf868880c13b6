"""Every recipe composes, passes the check, and says at its head what it reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.config.checks.check import check_config
from runner.config.compose import compose

RECIPES = sorted((Path(__file__).resolve().parents[1] / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_composes_and_passes_the_check(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNNER_DATA", str(tmp_path))
    # Data that nobody downloads has to be named on the command line; that is no fault of the recipe.
    problems = [problem for problem in check_config(compose([], path)) if not problem.concerns("data")]
    assert problems == []


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_states_command_seed_hardware_and_result(path):
    head = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    text = "\n".join(head)
    assert f"runner train experiments/{path.name}" in text
    assert all(word in text for word in ("Reached:", "eed", "cores", "torch "))


def test_recipes_exist():
    assert len(RECIPES) >= 3
