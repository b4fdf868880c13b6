"""Resolves the relative paths of a run's config before it is checked."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.config.composition import Composition
    from runner.run.directory import RunDir

__all__ = ["with_absolute_paths"]


def with_absolute_paths(composition: Composition, run: RunDir) -> Composition:
    """Return a copy with absolute paths; see ``runner.run.relative_paths``. Paths given by the user are unchanged."""
    from omegaconf import OmegaConf

    from runner.run.relative_paths import absolute_paths

    config = copy.deepcopy(composition.config)
    nodes = {key: OmegaConf.to_container(config, resolve=False).get(key) for key in ("data", "weights")}
    for key, value in absolute_paths(run, nodes, composition.explicit).items():
        if key in config:
            config[key] = value
    return replace(composition, config=config)
