"""An empty working directory, and the problems of a config composed in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from omegaconf import DictConfig

from runner.config import compose as compose_module
from runner.config.checks.check import check_config
from runner.config.compose import compose, run_hydra
from runner.errors import ConfigError, Problem

Find = Callable[..., list[Problem]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and a Python that forgets its modules afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder not in ("", ".")])
    monkeypatch.delenv("RUNNER_ALLOW_PACKAGES", raising=False)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def write(here: Path) -> Callable[[str, str], Path]:
    """Writes a file of the working directory."""

    def write_file(name: str, text: str = "") -> Path:
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Path]]:
    """``write_module(name, code)``: writes a Python module into the working directory and returns the folder.

    The module is forgotten after the test.
    """
    names: list[str] = []

    def write_code(name: str, code: str) -> Path:
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        names.append(name)
        return tmp_path

    yield write_code
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def composed() -> dict[tuple[str, ...], DictConfig]:
    """Composed configs of the shipped options, by overrides; most tests use the same ones."""
    return {}


@pytest.fixture
def find(here: Path, composed: dict, monkeypatch: pytest.MonkeyPatch) -> Find:
    """Return the problems of a composed config, as ``runner config check`` would report them."""

    def run_once(primary: str, overrides: list[str]) -> DictConfig:
        if tuple(overrides) not in composed:
            composed[tuple(overrides)] = run_hydra(primary, overrides)
        return deepcopy(composed[tuple(overrides)])

    def find_all(
        *overrides: str, experiment: str | None = None, config_dirs: tuple[str, ...] = ()
    ) -> list[Problem]:
        own = experiment is None and not config_dirs and not (here / "conf").exists()
        monkeypatch.setattr(compose_module, "run_hydra", run_once if own else run_hydra)
        try:
            return check_config(compose(overrides, experiment, config_dirs))
        except ConfigError as error:
            return list(error.problems)

    return find_all
