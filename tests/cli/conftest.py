"""The command line called in this process, in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.cli import main


@dataclass
class Said:
    """What a command did: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def say(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs ``runner WORDS…`` in an empty folder."""

    def run(*words: str) -> Said:
        capsys.readouterr()
        code = main(list(words))
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one finished run, ``first``: two epochs on the digits."""
    root = tmp_path_factory.mktemp("trained") / "runs"
    words = ["model=mlp", "data=digits", "tracking=none", "trainer.max_epochs=2", "hardware=cpu"]
    assert main(["train", *words, f"run.root={root}", "run.name=first"]) == 0
    return root
