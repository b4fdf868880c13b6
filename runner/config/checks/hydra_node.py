"""Checks of Hydra's own node and of overrides of its keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.errors import Problem

__all__ = ["hydra_key_problem", "hydra_problems", "is_hydra_key"]

EFFECTIVE = (
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

ALTERNATIVES = {
    "hydra.run": "use run.root=FOLDER and run.name=NAME",
    "hydra.sweep": "use run.root=FOLDER and run.name=NAME",
    "hydra.job.chdir": "remove it: a run always works in the directory in which the command was typed",
    "hydra.job.name": "use run.name=NAME",
    "hydra.output_subdir": "use run.root=FOLDER",
    "hydra.searchpath": "use --config-dir FOLDER",
    "hydra.mode": "use -m",
}
"""Key without effect → what to do instead."""


def is_hydra_key(key: str) -> bool:
    """Return whether an override, with or without a sign, is meant for Hydra's own node."""
    return key.lstrip("+~").replace("/", ".").partition(".")[0] == "hydra"


def hydra_key_problem(key: str, text: str, multirun: bool) -> Problem | None:
    """Return why an override of Hydra's own node would have no effect, or None.

    Args:
        key: the key of the override, without a sign.
        text: the override as typed.
        multirun: whether the command has ``-m``.
    """
    if below(key, EFFECTIVE):
        if multirun:
            return None
        message = f"{text} would have no effect without -m: Hydra does not run a single run."
        return Problem(key, message, "no_effect", "Remove it.")
    instead = next((remedy for name, remedy in ALTERNATIVES.items() if below(key, (name,))), "remove it")
    message = f"{text} would have no effect: runner makes the run directories and Hydra only composes."
    return Problem(key, message, "no_effect", f"Instead, {instead}.")


def below(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith((f"{name}.", f"{name}@")) for name in names)


HYDRA_MODULES = ("hydra.", "hydra_plugins.", "logging.", "colorlog.")

CONSTRUCTORS = ("_target_", "()", "class")
"""Keys whose values are constructors: Hydra's, and those of ``logging.config``."""


def hydra_problems(hydra: DictConfig) -> list[Problem]:
    """Return a problem for each target that belongs neither to Hydra nor to logging."""
    node = OmegaConf.to_container(hydra, resolve=False)
    return [
        Problem(
            key,
            f"{key}={target!r} is not allowed: Hydra's node may only refer to Hydra, its plug-ins and "
            "logging.",
            "not_allowed",
        )
        for key, target in constructors(node, "hydra")
        if not isinstance(target, str) or not target.startswith(HYDRA_MODULES)
    ]


def constructors(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted key, value)`` for each constructor in plain containers."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in CONSTRUCTORS:
                yield f"{key}.{name}", value
            else:
                yield from constructors(value, f"{key}.{name}")
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from constructors(value, f"{key}[{position}]")
