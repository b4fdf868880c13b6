"""Which executor a config's launcher means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runner.config.folds import of_all_folds
from runner.sweep.directory import SweepDir
from runner.sweep.executor import Executor
from runner.sweep.pool import Pool

__all__ = ["make_executor"]


def make_executor(sweep: SweepDir, config: dict[str, Any], varied: Iterable[str]) -> Executor:
    """
    Args:
        config: that all trials share; they start where its ``launcher`` says.
        varied: keys in which the trials differ.
    """
    kind = config["launcher"]["kind"]
    if kind == "ray":
        from runner.sweep.on_ray import RayExecutor

        return RayExecutor(config)
    if kind == "slurm":
        from runner.sweep.on_slurm import SlurmExecutor

        return SlurmExecutor(config)
    same_data = not of_all_folds(config) and not any(
        key.partition(".")[0] in ("data", "seed") for key in varied
    )
    return Pool(targets_of(config), sweep.logs / "server.log", config["data"] if same_data else None)


def targets_of(config: Any) -> list[str]:
    """Dotted names of all constructors in plain containers."""
    if isinstance(config, dict):
        own = [config["_target_"]] if "_target_" in config else []
        return own + [name for value in config.values() for name in targets_of(value)]
    return [name for value in config for name in targets_of(value)] if isinstance(config, list) else []
