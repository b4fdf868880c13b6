"""The MLflow store: its location, and safe creation by several processes."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from runner.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "absolute_uri",
    "artifact_root",
    "default_uri",
    "experiment_id",
    "make_store",
    "open_store",
    "use_environment",
]

LOCK_TIMEOUT_S = 300
KIND = "mlflow.experimentKind"
MODEL_TRAINING = "custom_model_development"
"""Value of `KIND` with which MLflow 3.17 opens an experiment in its mode for model training."""
ENVIRONMENT = {
    # A request that hangs fails quickly, because the points remain in the run directory and are sent again.
    # With MLflow 3.17's defaults a pass would hang for 246 s.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def use_environment() -> None:
    """Set MLflow's environment variables that the user has not set. Call it before importing MLflow."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)


def default_uri(root: str | Path) -> str:
    """Return the URI of the SQLite store next to the runs."""
    return f"sqlite:///{Path(root).absolute() / 'mlflow.db'}"


def absolute_uri(uri: str) -> str:
    """Return the URI with an absolute path, if it is that of a SQLite file."""
    path = sqlite_path(uri)
    return uri if path is None else f"sqlite:///{path}"


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite store; None for any other store."""
    return Path(unquote(uri[len("sqlite:///") :])).absolute() if uri.startswith("sqlite:///") else None


def artifact_root(uri: str, root: str | Path) -> Path | None:
    """Return the folder of the artifacts of a store; None if a server chooses it."""
    path = sqlite_path(uri)
    if path is not None:
        return path.parent / "mlartifacts"
    return None if uri.startswith(("http", "databricks")) else Path(root).absolute() / "mlartifacts"


def open_store(uri: str) -> MlflowClient:
    """Return a client of the store. A missing SQLite store is created first, by one process for all.

    Args:
        uri: the tracking URI.

    Raises:
        UserError: the store was written by another version of MLflow.
    """
    use_environment()
    from mlflow import MlflowClient

    make_store(uri)
    try:
        client = MlflowClient(uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    except Exception as error:
        if "out-of-date database schema" in str(error):
            raise UserError(
                f"{uri} was written by another version of MLflow. Bring it up to date with "
                f"`mlflow db upgrade {uri}`, or move it away: `runner sync --all` recreates it from the runs."
            ) from error
        raise
    return client


def make_store(uri: str) -> None:
    """Create a missing SQLite store; does nothing for any other store.

    MLflow 3.17 lets several processes migrate a new database at the same time, and most of them crash. Here
    one process creates the tables in a temporary file and renames it, so that no process opens an incomplete
    store.
    """
    path = sqlite_path(uri)
    if path is None or _has_tables(path):
        return
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=LOCK_TIMEOUT_S):
        if _has_tables(path):
            return
        use_environment()
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        store = SqlAlchemyStore(f"sqlite:///{temporary}", str(path.parent / "mlartifacts"))
        store.engine.dispose()
        os.replace(temporary, path)


def _has_tables(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size == 0:
        return False
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=20)
    try:
        rows = connection.execute("SELECT 1 FROM sqlite_master WHERE type='table' LIMIT 1")
        return rows.fetchone() is not None
    finally:
        connection.close()


def experiment_id(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    """Return the id of the experiment with this name, which is created or restored if necessary.

    Args:
        client: client of the store.
        name: name of the experiment.
        artifacts: folder of the artifacts of a new experiment; None if a server chooses it.
    """
    from mlflow.exceptions import MlflowException

    location = None if artifacts is None else artifacts.as_uri()
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, location, {KIND: MODEL_TRAINING}))
        except MlflowException:  # another run has created it at the same time
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)
