"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of attacks, which ``scripts/attack`` counts by family."""
    config.addinivalue_line("markers", "attack(family): an attack that must not succeed")


@pytest.fixture(scope="session", autouse=True)
def config_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the key that signs configs, so that tests leave the user's own unchanged."""
    folder = tmp_path_factory.mktemp("config_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with data sets that are too large for the repository; without it the test is skipped."""
    folder = Path(os.environ.get("RUNNER_SHARED_DATA") or CHECKOUT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(
            f"needs the data sets in {folder}, which is absent; RUNNER_SHARED_DATA names another folder"
        )
    return folder


@pytest.fixture(scope="session")
def same() -> Callable[[Any, Any], bool]:
    """``same(one, other)``: tensors and plain containers, equal to the bit."""
    import torch

    def equal(one: Any, other: Any) -> bool:
        if isinstance(one, torch.Tensor):
            return torch.equal(one, other)
        if isinstance(one, dict):
            return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
        if isinstance(one, list | tuple):
            return len(one) == len(other) and all(map(equal, one, other))
        return one == other

    return equal


@pytest.fixture(scope="session")
def killing() -> SimpleNamespace:
    """``killing.at(step)``: a callback that ends a training at an update, without a chance to save, by
    ``Killed``.
    """
    import pytorch_lightning as pl

    class Killed(Exception):
        pass

    class Killer(pl.Callback):
        def __init__(self, step: int):
            self.step = step

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            if trainer.global_step == self.step:
                raise Killed

    return SimpleNamespace(at=Killer, Killed=Killed)
