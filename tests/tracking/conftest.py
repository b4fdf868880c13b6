"""Runs as a worker writes them, and stores for their mirrors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.run.directory import RunDir
from runner.run.files import write_json, write_text
from runner.run.journal import Journal
from runner.run.provenance import write_provenance
from runner.run.status import write_status

CONFIG = """\
model: {_target_: runner.models.mlp.MLP, hidden_sizes: [128, 64], in_features: 64}
data: {_target_: runner.data.images.digits.DigitsDataModule, batch_size: 32}
optimizer: {lr: 0.001}
run: {root: runs, name: null, tags: [baseline, paper=figure 3]}
tracking: {enabled: true, uri: URI, experiment: runner, log_model: false, system_metrics: false}
"""
FACTS = {
    "task": "classification",
    "name": "digits",
    "source": "scikit-learn",
    "digest": "sha256:0123456789abcdef0123",
    "input_shape": [1, 8, 8],
    "class_names": ["zero", "one"],
    "class_counts": [5, 6],
    "num_train": 11,
    "num_val": 2,
    "num_test": 3,
}
RESULTS = {
    "best": {
        "checkpoint": "checkpoints/step-00000010.ckpt",
        "step": 10,
        "epoch": 1,
        "monitor": "val/accuracy",
        "value": 0.9,
    },
    "val": {"val/accuracy": 0.9, "val/loss": 0.4},
    "test": {"test/accuracy": 0.875, "test/loss": 0.5},
}
MakeRun = Callable[..., RunDir]


@pytest.fixture(scope="session", autouse=True)
def quiet_mlflow() -> Iterator[None]:
    """MLflow as the mirror sets it, before the first test imports it; the user's store stays out of it."""
    from runner.tracking.store import use_environment

    before = dict(os.environ)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    use_environment()
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new SQLite store; making one takes seconds, so the tests copy it."""
    from runner.tracking.store import default_uri, make_store

    root = tmp_path_factory.mktemp("store")
    make_store(default_uri(root))
    return root / "mlflow.db"


@pytest.fixture
def root(tmp_path: Path, empty_store: Path) -> Path:
    """A folder for runs with an existing store."""
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    return folder


@pytest.fixture
def make_run(root: Path) -> MakeRun:
    """Makes a run that has done ``steps`` steps; ``state`` None: the worker still runs."""

    def make(name: str = "one", steps: int = 10, state: str | None = "finished", uri: str = "null") -> RunDir:
        run = RunDir.create(root, name)
        write_text(run.config_path, _config(uri))
        write_provenance(run, ["/opt/bin/runner", "train", "model=mlp"], seed=0)
        write_status(run, state="running")
        _log_steps(run, range(steps))
        write_json(run.facts_path, FACTS)
        if state is not None:
            write_json(run.results_path, RESULTS)
            write_text(run.plots / "loss.png", "a picture")
            write_text(run.logs / "rank0.log", "a line")
            write_text(run.checkpoints / "step-00000010.ckpt", "weights")
            write_status(run, state=state, reason="because" if state == "failed" else None)
        return run

    return make


def _log_steps(run: RunDir, steps: range) -> None:
    journal = Journal(run.metrics_path)
    for step in steps:
        journal.log(step, step // 5, {"train/loss": 1 / (step + 1), "train/lr": 0.1})
    journal.close()


def _config(uri: str = "null") -> str:
    return CONFIG.replace("URI", uri)


def _history(client, run_id: str, key: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client.get_metric_history(run_id, key))


@pytest.fixture
def config_text() -> Callable[..., str]:
    """The text of a run's config; ``uri`` as it stands in YAML."""
    return _config


@pytest.fixture
def log_steps() -> Callable[[RunDir, range], None]:
    """Writes the points of the steps into a run's journal; a step's values are always the same."""
    return _log_steps


@pytest.fixture
def history() -> Callable[..., list[tuple[int, float]]]:
    """All points of a metric in MLflow as (step, value), by step."""
    return _history
