"""Connection to the Ray cluster, the environment passed to its workers, and the resources reserved for each."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from runner.config.schema import Launcher
from runner.errors import UserError

__all__ = ["connect", "handed_on", "resources_of"]

SHOWN = ("PYTHONPATH", "RUNNER_")
"""Prefixes of variables passed to Ray's own processes. Its dashboard shows them to every user."""

HANDED_ON = (*SHOWN, "MLFLOW_", "HYDRA_", "HF_", "TORCH_HOME")
"""Prefixes of variables passed to the workers."""


def connect(address: str) -> None:
    """
    Raises:
        UserError: no cluster responds.
    """
    import ray

    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": handed_on(SHOWN)},
    }
    try:
        if address == "local":
            ray.init(include_dashboard=False, **options)
        else:
            ray.init(address=address, **options)
    except Exception as error:  # Ray raises many unrelated exception types here
        raise UserError(
            f"launcher.address={address}: no Ray cluster answers ({str(error).splitlines()[0]}). Start one with "
            "`ray start --head` on one machine and `ray start --address=HOST:PORT` on the others, or use "
            "launcher.address=local for this machine alone."
        ) from error


def handed_on(beginnings: tuple[str, ...] = HANDED_ON) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key.startswith(beginnings)}


def resources_of(launcher: Launcher, hardware: Mapping[str, Any]) -> dict[str, float]:
    """Resources that Ray reserves for one worker."""
    gpus = launcher.gpus_per_worker
    if gpus is None:
        gpus = 1 if hardware.get("accelerator") == "gpu" else 0
    return {"CPU": launcher.cpus_per_worker} | ({"GPU": gpus} if gpus else {})
