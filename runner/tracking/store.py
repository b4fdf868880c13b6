"""The MLflow store: where it is, and how several processes open it at once."""

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
    "artifact_root",
    "default_uri",
    "experiment_id",
    "make_store",
    "open_store",
    "use_environment",
]

LOCK_TIMEOUT_S = 300
KIND = "mlflow.experimentKind"
ENVIRONMENT = {
    # A store that hangs is left alone soon: the points wait in the run directory and are sent again.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def use_environment() -> None:
    """Sets how MLflow talks to a server, where the user's environment does not. Before MLflow is imported."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)


def default_uri(root: str | Path) -> str:
    return f"sqlite:///{Path(root).absolute() / 'mlflow.db'}"


def absolute_uri(uri: str) -> str:
    """``uri``; a path of SQLite that is relative to the working directory in full."""
    path = sqlite_path(uri)
    return uri if path is None else f"sqlite:///{path}"


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store, or None for any other."""
    return Path(unquote(uri[len("sqlite:///") :])).absolute() if uri.startswith("sqlite:///") else None


def artifact_root(uri: str, root: str | Path) -> Path | None:
    """Folder of the artifacts of a store without a server; None where a server decides."""
    path = sqlite_path(uri)
    if path is not None:
        return path.parent / "mlartifacts"
    return None if uri.startswith(("http", "databricks")) else Path(root).absolute() / "mlartifacts"


def open_store(uri: str) -> MlflowClient:
    """A client of the store. A SQLite store that does not exist is made first, by one process for all.

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
    """Makes a SQLite store that does not exist; leaves any other alone.

    MLflow itself lets several processes migrate one new database at once, and most of them crash. Here one
    makes the tables, in a temporary file that is then renamed, so that no process opens an incomplete store.
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

        aside = path.with_name(f".{path.name}.new")
        aside.unlink(missing_ok=True)
        store = SqlAlchemyStore(f"sqlite:///{aside}", str(path.parent / "mlartifacts"))
        store.engine.dispose()
        os.replace(aside, path)


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
    """The experiment of that name, made or taken out of the bin where need be."""
    from mlflow.exceptions import MlflowException

    location = None if artifacts is None else artifacts.as_uri()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, location, {KIND: "custom_model_development"})
        except MlflowException:  # another run made it in this moment
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id
