"""Composes and checks the data node of a command line, independently of the rest of the config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.data.base import DataModule

__all__ = ["changed_values", "data_module"]


def data_module(overrides: list[str], experiment: str | None, config_dirs: list[str]) -> DataModule:
    """Return the data module of a composed config, without reading any data.

    Raises:
        ConfigError: the overrides or the data node have problems; the error lists all of them.
    """
    from runner.config.checks.check import data_problems
    from runner.config.compose import compose
    from runner.errors import ConfigError
    from runner.training.components import make_data, resolve

    composition = compose(overrides, experiment, config_dirs)
    problems = data_problems(composition)
    if problems:
        raise ConfigError(problems)
    return make_data(resolve(composition.config, None))


def changed_values(overrides: list[str], config: Path) -> dict[str, Any]:
    """Return overrides of a run's config as dotted keys and values, after checking those of the data.

    Args:
        overrides: the overrides of the command line.
        config: the ``config.yaml`` of the run.

    Raises:
        ConfigError: the overrides have problems; the error lists all of them.
    """
    if not overrides:
        return {}
    from runner.config.checks.check import data_problems
    from runner.config.compose import compose
    from runner.config.overrides import parse_override
    from runner.errors import ConfigError
    from runner.launch.run_config import with_absolute_paths
    from runner.run.directory import RunDir

    problems = data_problems(with_absolute_paths(compose(overrides, config), RunDir(config.parent)))
    if problems:
        raise ConfigError(problems)
    parsed = [parse_override(text) for text in overrides]
    return {override.key_or_group: override.value() for override in parsed}
