"""Hydra's search path for config groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.config_search_path import SearchPathQuery
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from runner.config.groups import package_conf, search_folders
from runner.errors import ConfigError

__all__ = ["search_in"]


class RunnerSearchPath(SearchPathPlugin):
    """Adds ``./conf`` before runner's own config folder, and the ``--config-dir`` folders after it.

    Attributes:
        folders: a class attribute, because Hydra creates the instances.
    """

    folders: list[Path] = []

    def manipulate_search_path(self, search_path: Any) -> None:
        own = package_conf().resolve()
        after_own = False
        for folder in self.folders:
            if folder.resolve() == own:
                after_own = True
            elif after_own:
                search_path.append("runner-config-dir", f"file://{folder}")
            else:
                search_path.prepend("runner-here", f"file://{folder}", SearchPathQuery(provider="main"))


def search_in(config_dirs: list[str] | tuple[str, ...]) -> None:
    """Registers the config folders with Hydra for all following compositions.

    Raises:
        ConfigError: one of them is not a folder.
    """
    folders = search_folders(config_dirs)
    problems = [f"--config-dir {folder} is not a folder." for folder in folders if not folder.is_dir()]
    if problems:
        raise ConfigError(problems)
    RunnerSearchPath.folders = folders
    Plugins.instance().register(RunnerSearchPath)
