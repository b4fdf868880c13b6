"""The ``tracking`` node of a config."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from runner.config.tracking import TRACKING_SCHEMES, Tracking
from runner.run.directory import RunDir
from runner.run.format import read_stored_config

__all__ = ["check", "read_config", "read_settings"]


def check(settings: Tracking) -> list[str]:
    """Return messages about invalid settings, without opening the store."""
    problems = []
    scheme = urlsplit(settings.uri).scheme.partition("+")[0] if settings.uri else "sqlite"
    if scheme not in TRACKING_SCHEMES:
        problems.append(
            f"tracking.uri={settings.uri!r} is no store MLflow can write to: expected an address such as "
            f"http://127.0.0.1:5000 or sqlite:////folder/mlflow.db (known: {', '.join(TRACKING_SCHEMES)}). "
            "Leave it null for a store beside the runs."
        )
    if not settings.experiment.strip():
        problems.append("tracking.experiment is empty: expected a name, such as tracking.experiment=runner.")
    return problems


def read_config(run: RunDir) -> dict[str, Any]:
    """Return the run's config in plain containers, with interpolations unresolved; empty without a file."""
    from omegaconf import OmegaConf

    try:
        values = OmegaConf.to_container(read_stored_config(run.config_path), resolve=False)
    except FileNotFoundError:
        return {}
    return {str(key): value for key, value in values.items()} if isinstance(values, dict) else {}


def read_settings(run: RunDir) -> Tracking:
    """Return the ``tracking`` node of the run's config."""
    return Tracking.from_config(read_config(run))
