"""Where Hydra looks for config groups."""

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
    """Puts ``./conf`` before the program's own folder and ``--config-dir`` folders behind it.

    Attributes:
        folders: on the class, because Hydra makes the instances.
    """

    folders: list[Path] = []

    def manipulate_search_path(self, search_path: Any) -> None:
        own = package_conf().resolve()
        behind = False
        for folder in self.folders:
            if folder.resolve() == own:
                behind = True
            elif behind:
                search_path.append("runner-config-dir", f"file://{folder}")
            else:
                search_path.prepend("runner-here", f"file://{folder}", SearchPathQuery(provider="main"))


def search_in(config_dirs: list[str] | tuple[str, ...]) -> None:
    """Lets everything that Hydra composes from now on be found there too.

    Raises:
        ConfigError: one of them is no folder.
    """
    folders = search_folders(config_dirs)
    problems = [f"--config-dir {folder} is not a folder." for folder in folders if not folder.is_dir()]
    if problems:
        raise ConfigError(problems)
    RunnerSearchPath.folders = folders
    Plugins.instance().register(RunnerSearchPath)
