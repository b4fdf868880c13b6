"""The ``tracking`` node of a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any
from urllib.parse import urlsplit

from annotated_types import Ge

from runner.run.directory import RunDir
from runner.run.format import read_stored_config

__all__ = ["TrackingSettings", "check", "read_config", "read_settings"]

SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")


@dataclass
class TrackingSettings:
    """What is mirrored, and where.

    Attributes:
        uri: an MLflow tracking URI; None is the SQLite store beside the runs.
        experiment: MLflow's name for the group of runs.
        log_model: log a servable model when the run has finished.
        log_checkpoints: send the checkpoints as artifacts too.
        system_metrics: sample processor, memory, disk, network and GPU.
        wait_s: seconds the end of training waits for the mirror, at most.
    """

    enabled: bool = True
    uri: str | None = None
    experiment: str = "runner"
    log_model: bool = True
    log_checkpoints: bool = False
    system_metrics: bool = True
    wait_s: Annotated[float, Ge(0)] = 30

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> TrackingSettings:
        """From a whole config; one without a ``tracking`` node mirrors nothing."""
        node = (config or {}).get("tracking")
        if not node:
            return cls(enabled=False)
        known = {field.name for field in fields(cls)}
        return cls(**{key: node[key] for key in node if key in known})


def check(settings: TrackingSettings) -> list[str]:
    """The mistakes in the settings that can be seen without opening the store."""
    problems = []
    scheme = urlsplit(settings.uri).scheme.partition("+")[0] if settings.uri else "sqlite"
    if scheme not in SCHEMES:
        problems.append(
            f"tracking.uri={settings.uri!r} is no store MLflow can write to: expected an address such as "
            f"http://127.0.0.1:5000 or sqlite:////folder/mlflow.db (known: {', '.join(SCHEMES)}). "
            "Leave it null for a store beside the runs."
        )
    if not settings.experiment.strip():
        problems.append("tracking.experiment is empty: expected a name, such as tracking.experiment=runner.")
    return problems


def read_config(run: RunDir) -> dict[str, Any]:
    """The run's config as plain containers, interpolations left as they are written."""
    from omegaconf import OmegaConf

    try:
        config = read_stored_config(run.config_path)
    except FileNotFoundError:
        return {}
    return OmegaConf.to_container(config, resolve=False)


def read_settings(run: RunDir) -> TrackingSettings:
    return TrackingSettings.from_config(read_config(run))
