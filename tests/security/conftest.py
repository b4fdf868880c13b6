"""Attacks: each test carries one out with a harmless marker, and passes if nothing was executed or opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from runner.cli import main
from runner.config.compose import compose
from runner.config.plain import to_plain, to_yaml
from runner.config.trust import TRUST

MODULE = """
from pathlib import Path

from torch import nn

Path({marker!r}).touch()


class Net(nn.Linear):
    pass
"""


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that an attack creates."""
    return tmp_path / "marker"


@pytest.fixture
def victim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project folder of the attacked user, who has a key of their own; the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv(TRUST, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def module(marker: Path) -> Callable[[Path], Path]:
    """``module(path)`` writes a module that creates the marker when it is imported."""

    def write(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MODULE.format(marker=str(marker)), encoding="utf-8")
        return path

    return write


@pytest.fixture
def receive(victim: Path) -> Callable[..., Path]:
    """``receive(name, *overrides, **nodes)`` writes a run that another user has created.

    The nodes replace those of its config; they are stored without a check.
    """

    def write(name: str, *overrides: str, **nodes: Any) -> Path:
        config = compose(["model=mlp", "data=digits", "tracking=none", *overrides]).config
        run = victim / "runs" / name
        (run / "checkpoints").mkdir(parents=True)
        plain = to_plain(config, []) | {key: node for key, node in nodes.items() if not isinstance(node, str)}
        (run / "config.yaml").write_text(to_yaml(plain), encoding="utf-8")
        for key, value in nodes.items():
            if isinstance(value, str):  # an interpolation, which to_yaml would escape
                stored = OmegaConf.load(run / "config.yaml")
                OmegaConf.update(stored, key, value, force_add=True)
                OmegaConf.save(stored, run / "config.yaml")
        status = {"state": "interrupted", "reason": "stopped", "format_version": 1}
        (run / "status.json").write_text(json.dumps(status), encoding="utf-8")
        (run / "provenance.json").write_text(json.dumps({"working_directory": str(victim)}))
        return run

    return write


@pytest.fixture
def call(victim: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """``call(*words)`` runs ``runner`` in the victim's folder; returns the exit code and all output."""

    def run(*words: str) -> tuple[int, str]:
        code = main(list(words))
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run
