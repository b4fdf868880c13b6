"""The ``tracking`` node of a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from annotated_types import Ge

__all__ = ["TRACKING_SCHEMES", "Tracking"]

TRACKING_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")
"""URI schemes of MLflow's tracking stores."""


@dataclass
class Tracking:
    """Tracking of a run with MLflow.

    Args:
        enabled: whether the run is tracked.
        uri: MLflow tracking URI; a SQLite store next to the runs if null.
        experiment: name of the MLflow experiment.
        log_model: log a servable model when the run has finished.
        log_checkpoints: log the checkpoints as artifacts.
        system_metrics: log usage of CPU, memory, disk, network and GPU.
        wait_s: maximum time in seconds to wait for uploads at the end of training.
    """

    enabled: bool = True
    uri: str | None = None
    experiment: str = "runner"
    log_model: bool = True
    log_checkpoints: bool = False
    system_metrics: bool = True
    wait_s: Annotated[float, Ge(0)] = 30.0

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> Tracking:
        """Return the settings of a whole config; without a ``tracking`` node, tracking is off."""
        node = (config or {}).get("tracking")
        if not node:
            return cls(enabled=False)
        known = {field.name for field in fields(cls)}
        return cls(**{key: node[key] for key in node if key in known})
