"""Configs of earlier runs, used from another directory than the one in which the run was started."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf

from runner.config.compose import compose
from runner.config.composition import Composition
from runner.run.directory import RunDir, absolute_paths

__all__ = ["compose_with_paths", "with_absolute_paths"]


def compose_with_paths(
    overrides: Sequence[str], experiment: str | Path | None, config_dirs: Sequence[str] = ()
) -> Composition:
    """Composes a config; in the ``config.yaml`` of a run, relative paths are those of that run.

    Args:
        overrides: overrides in Hydra's grammar. Paths in them are relative to the current directory.
        experiment: an experiment file or the config of a run; None for the default config.
        config_dirs: further folders of config groups.

    Raises:
        ConfigError: nothing can be composed at all; see ``runner.config.compose.compose``.
    """
    composition = compose(list(overrides), experiment, list(config_dirs))
    if experiment is None or not composition.resolved:
        return composition
    return with_absolute_paths(composition, RunDir(Path(experiment).absolute().parent))


def with_absolute_paths(composition: Composition, run: RunDir) -> Composition:
    """Return a copy with absolute paths; see ``runner.run.directory``. Paths given by the user are kept."""
    config = copy.deepcopy(composition.config)
    values = OmegaConf.to_container(config, resolve=False)
    nodes = {key: values.get(key) for key in ("data", "weights")} if isinstance(values, dict) else {}
    for key, value in absolute_paths(run, nodes, composition.explicit).items():
        if key in config:
            config[key] = value
    return replace(composition, config=config)
