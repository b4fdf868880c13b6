"""The data node of a command line: checked on its own, whatever the rest of the config says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.data.base import DataModule

__all__ = ["changed_values", "data_module"]


def data_module(overrides: list[str], experiment: str | None, config_dirs: list[str]) -> DataModule:
    """The data module that the words compose, with nothing read yet.

    Raises:
        ConfigError: every mistake in the overrides and in the data node.
    """
    from runner.components import make_data, resolve
    from runner.config.check import data_problems
    from runner.config.compose import compose
    from runner.errors import ConfigError

    composition = compose(overrides, experiment, config_dirs)
    problems = data_problems(composition)
    if problems:
        raise ConfigError(problems)
    return make_data(resolve(composition.config, None))


def changed_values(overrides: list[str], config: Path) -> dict[str, Any]:
    """Overrides of a run's config as dotted keys and values, checked where they concern the data.

    Args:
        config: the ``config.yaml`` of the run.

    Raises:
        ConfigError: every mistake in them.
    """
    if not overrides:
        return {}
    from runner.cli.run_paths import with_absolute_paths
    from runner.config.check import data_problems
    from runner.config.compose import compose
    from runner.config.quoting import parse_override
    from runner.errors import ConfigError
    from runner.run.directory import RunDir

    problems = data_problems(with_absolute_paths(compose(overrides, config), RunDir(config.parent)))
    if problems:
        raise ConfigError(problems)
    parsed = [parse_override(text) for text in overrides]
    return {override.key_or_group: override.value() for override in parsed}
