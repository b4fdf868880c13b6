"""The reference pages list every verb and every option of every group, with their keys."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from runner.cli import NAMES
from runner.config.groups import find_groups

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "reference.py"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("reference", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("reference")
    assert module.main([str(folder)]) == 0
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_every_verb_has_a_section_with_its_usage(pages: dict[str, str]) -> None:
    text = pages["commands.md"]
    for name in NAMES:
        assert f"### runner {name}\n" in text
        assert f"\nrunner {name} [-h]" in text
    assert "`--checkpoint`" in text


def test_every_option_of_every_group_is_listed_with_its_keys(pages: dict[str, str]) -> None:
    text = pages["config.md"]
    for group, options in find_groups().items():
        for name in options:
            assert f"| `{group}={name}` |" in text
    for row in (
        "| `optimizer.betas` | ",
        "| `model.hidden_sizes` | ",
        "| `trainer.max_epochs` | ",
        "| `data.batch_size` | int",
        "| `run.name` | ",
    ):
        assert row in text


def test_tables_have_as_many_cells_as_headings(pages: dict[str, str]) -> None:
    for text in pages.values():
        for line in text.splitlines():
            if line.startswith("| "):
                assert line.replace("\\|", "").count("|") in (3, 4, 5), line
