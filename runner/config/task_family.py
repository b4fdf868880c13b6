"""The tasks whose data and models suit the chosen task."""

from __future__ import annotations

import inspect
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from runner.config.allow_list import resolve_target
from runner.config.composition import Composition
from runner.config.groups import Option, package_conf
from runner.errors import ConfigError

__all__ = ["suitable_tasks"]


def suitable_tasks(composition: Composition) -> list[str]:
    """Return the names of the tasks whose data and models suit the chosen task; empty if no task is chosen.

    These are the chosen option itself, and the tasks in the ``# tasks:`` line of its file. Without that line
    they follow from the class: a subclass of ``ClassificationTask`` trains with the data and models of
    ``classification``. The nearest base class with an option in runner's own ``conf/task`` counts, because a
    subclass of a binary classifier does not suit the data of several classes.
    """
    chosen = composition.choices.get("task")
    if not chosen:
        return []
    option = composition.option("task")
    if option is not None and option.tasks:
        return [chosen, *option.tasks]
    options = composition.groups.get("task", {})
    targets = {name: target_of(other) for name, other in options.items()}
    names = [chosen]
    for base in bases_of(composition.config):
        path = f"{base.__module__}.{base.__qualname__}"
        matches = [name for name, target in targets.items() if target == path]
        names += [name for name in matches if name not in names]
        if any(is_packaged(options[name]) for name in matches):
            break
    return names


def bases_of(config: Any) -> tuple[type, ...]:
    """Return the task's class and its bases, nearest first; empty if the class cannot be resolved."""
    try:
        constructor = resolve_target(OmegaConf.select(config, "task._target_"))
    except (ConfigError, OmegaConfBaseException):  # reported by the check of the node itself
        return ()
    return inspect.getmro(constructor) if inspect.isclass(constructor) else ()


def target_of(option: Option) -> str | None:
    """Return the ``_target_`` in an option's file; None without one."""
    try:
        config = OmegaConf.load(option.path)
        target = config.get("_target_") if isinstance(config, DictConfig) else None
    except (OSError, YAMLError, OmegaConfBaseException, ValueError):  # reported when the option is chosen
        return None
    return str(target) if target is not None else None


def is_packaged(option: Option) -> bool:
    return option.path.is_relative_to(package_conf())
