"""Checks of Hydra's own node and of overrides of its keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

__all__ = ["hydra_key_problem", "hydra_problems", "is_hydra_key"]

ACTING = (
    "hydra/launcher",
    "hydra/sweeper",
    "hydra/callbacks",
    "hydra/job_logging",
    "hydra/hydra_logging",
    "hydra.launcher",
    "hydra.sweeper",
    "hydra.callbacks",
    "hydra.job_logging",
    "hydra.hydra_logging",
    "hydra.verbose",
    "hydra.job.env_set",
    "hydra.job.env_copy",
)
"""Keys that have an effect with ``-m``."""

INSTEAD = {
    "hydra.run": "use run.root=FOLDER and run.name=NAME",
    "hydra.sweep": "use run.root=FOLDER and run.name=NAME",
    "hydra.job.chdir": "remove it: a run always works in the directory in which the command was typed",
    "hydra.job.name": "use run.name=NAME",
    "hydra.output_subdir": "use run.root=FOLDER",
    "hydra.searchpath": "use --config-dir FOLDER",
    "hydra.mode": "use -m",
}


def is_hydra_key(key: str) -> bool:
    return key.lstrip("+~").replace("/", ".").partition(".")[0] == "hydra"


def hydra_key_problem(key: str, text: str, multirun: bool) -> str | None:
    """Return why an override of Hydra's own node would have no effect, or None.

    Args:
        key: the key of the override, without a sign.
        text: the override as typed.
        multirun: whether the command has ``-m``.
    """
    if below(key, ACTING):
        return (
            None
            if multirun
            else f"{text} would have no effect without -m: Hydra does not run a single run. Remove it."
        )
    instead = next((remedy for name, remedy in INSTEAD.items() if below(key, (name,))), "remove it")
    return (
        f"{text} would have no effect: runner makes the run directories and Hydra only composes. "
        f"Instead, {instead}."
    )


def below(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith((f"{name}.", f"{name}@")) for name in names)


HYDRAS_OWN = ("hydra.", "hydra_plugins.", "logging.", "colorlog.")

CONSTRUCTORS = ("_target_", "()", "class")
"""Keys whose values are constructors: Hydra's, and those of ``logging.config``."""


def hydra_problems(hydra: DictConfig) -> list[str]:
    """Return a message for each target that belongs neither to Hydra nor to logging."""
    node = OmegaConf.to_container(hydra, resolve=False)
    return [
        f"{place}={target!r} is not allowed: Hydra's node may only refer to Hydra, its plug-ins and logging."
        for place, target in constructed(node, "hydra")
        if not isinstance(target, str) or not target.startswith(HYDRAS_OWN)
    ]


def constructed(node: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in CONSTRUCTORS:
                yield f"{place}.{key}", value
            else:
                yield from constructed(value, f"{place}.{key}")
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from constructed(value, f"{place}[{position}]")
