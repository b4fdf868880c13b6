"""The settings of a composed config that differ from the default config."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf

from runner.config.compose import PRIMARY, run_hydra
from runner.config.composition import Composition
from runner.errors import ConfigError
from runner.run.flatten import flatten

__all__ = ["changed_settings"]


def changed_settings(composition: Composition) -> dict[str, list[Any]]:
    """Return each setting that differs from the default config, with its default and its value.

    Options are compared with those of the default config, and values with those of the chosen options.
    The result is empty for the config of a run, whose options are not known.

    Args:
        composition: a composition, whose config folders are still registered with Hydra.
    """
    if composition.resolved:
        return {}
    try:
        default = run_hydra(PRIMARY, [])
        chosen = run_hydra(PRIMARY, [f"{group}={name}" for group, name in composition.choices.items()])
    except ConfigError:
        return {}
    options = {group: str(name) for group, name in default.hydra.runtime.choices.items() if name}
    changed: dict[str, list[Any]] = {
        group: [options.get(group), name]
        for group, name in composition.choices.items()
        if options.get(group) != name
    }
    before, after = _values(chosen), _values(composition.config)
    for key in [*after, *(key for key in before if key not in after)]:
        if before.get(key) != after.get(key) and not key.startswith(("hydra", "run.name", "run.root")):
            changed[key] = [before.get(key), after.get(key)]
    return changed


def _values(config: Any) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=False)
    values = {key: value for key, value in plain.items() if key != "hydra"} if isinstance(plain, dict) else {}
    return dict(flatten({str(key): value for key, value in values.items()}))
