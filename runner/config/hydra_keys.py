"""Overrides of Hydra's own node: those that have an effect in a multirun, and alternatives to the others."""

from __future__ import annotations

__all__ = ["hydra_key_problem", "is_hydra_key"]

ACTING = (
    "hydra/launcher", "hydra/sweeper", "hydra/callbacks", "hydra/job_logging", "hydra/hydra_logging", "hydra.launcher",
    "hydra.sweeper", "hydra.callbacks", "hydra.job_logging", "hydra.hydra_logging", "hydra.verbose", "hydra.job.env_set",
    "hydra.job.env_copy",
)  # fmt: skip
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
    return f"{text} would have no effect: runner makes the run directories and Hydra only composes. Instead, {instead}."


def below(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith((f"{name}.", f"{name}@")) for name in names)
