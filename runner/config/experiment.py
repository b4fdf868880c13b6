"""Reads experiment files, which hold config values and, optionally, the options they apply to."""

from __future__ import annotations

from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, Node, OmegaConf

from runner.config.groups import Option
from runner.config.overrides import option_problems
from runner.config.plain import dotted_keys
from runner.config.schema import Config
from runner.config.trust import GUARDED_KEYS, reject_untrusted
from runner.errors import ConfigError, Problem, UserError
from runner.run.format import read_config, read_stored_config
from runner.suggest import did_you_mean

__all__ = ["Experiment", "load_config", "read_experiment"]


@dataclass
class Experiment:
    """The contents of an experiment file.

    Attributes:
        values: merged over the composed config; or a complete config.
        defaults: entries of Hydra's defaults list, each ``override /GROUP: OPTION``.
        resolved: whether it is the complete config of a run, which needs no composition.
        explicit: dotted keys that the file sets.
    """

    values: DictConfig
    defaults: list[Any] = field(default_factory=list)
    resolved: bool = False
    explicit: set[str] = field(default_factory=set)

    def chosen_groups(self) -> set[str]:
        """Return the config groups whose option the file chooses."""
        entries = [str(key) for entry in self.defaults if isinstance(entry, DictConfig) for key in entry]
        return {key.split()[-1].lstrip("/").partition("@")[0] for key in entries}

    def node(self) -> DictConfig:
        """Return the config with a defaults list, as Hydra expects it."""
        return cast(DictConfig, OmegaConf.merge({"defaults": [*self.defaults, "_self_"]}, self.values))


def load_config(path: Path) -> DictConfig:
    """Loads a YAML file.

    Raises:
        ConfigError: the file is missing, is not valid YAML, or does not hold a mapping.
    """
    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        hint = (
            did_you_mean(path.name, siblings, dotted=False)
            if siblings
            else f"{path.parent} holds no YAML files."
        )
        raise ConfigError(Problem("", f"no such file: {path}.", "not_found", hint))
    try:
        is_stored = (path.parent / "status.json").is_file()
        config = read_stored_config(path) if is_stored else read_config(path)
    except UserError:
        raise
    except Exception as error:  # YAML, encoding and interpolation errors have no common base class
        text = f"{path} is not readable YAML: {' '.join(str(error).split())}"
        raise ConfigError(Problem("", text, "unreadable")) from error
    if not isinstance(config, DictConfig):
        text = f"{path} must hold keys and values, got a {type(config).__name__.removesuffix('Config')}."
        raise ConfigError(Problem("", text, "wrong_type"))
    return config


def read_experiment(path: Path, groups: dict[str, dict[str, Option]], problems: list[Problem]) -> Experiment:
    """Reads an experiment file, and adds a problem to ``problems`` for each invalid entry.

    Raises:
        ConfigError: the file cannot be read at all.
    """
    config = load_config(path)
    if is_whole(config):
        reject_untrusted(path.parent, config)
        return Experiment(config, resolved=True)
    problems += command_problems(config, path)
    entries = config.pop("defaults") if "defaults" in config else ListConfig([])
    if not isinstance(entries, ListConfig):
        text = f"{path.name}: defaults must be a list of `override /GROUP: OPTION`, got {entries!r}."
        problems.append(Problem("defaults", text, "wrong_type"))
        entries = []
    defaults = []
    for entry in entries:
        of_entry = entry_problems(entry, path, groups)
        problems += of_entry
        if not of_entry and entry != "_self_":
            defaults.append(entry)
    for key in list(config):
        problem = key_problem(str(key), config._get_node(key), path, groups)
        if problem:
            problems.append(problem)
            del config[key]
    return Experiment(config, defaults, explicit=set(dotted_keys(config)))


def is_whole(config: DictConfig) -> bool:
    """Return whether a config is the complete one of a run.

    It is if it has every required node and no defaults list.
    """
    required = [field.name for field in fields(Config) if field.default is NO_DEFAULT]
    return "defaults" not in config and all(name in config for name in required)


def command_problems(config: DictConfig, path: Path) -> list[Problem]:
    """Return a problem for each value of an experiment's file that reaches a shell or another cluster.

    Experiments are exchanged more often than ``conf/`` folders, and a reader expects no commands in them.
    """
    launcher = config._get_node("launcher")
    if isinstance(launcher, Node) and launcher._is_interpolation():
        text = (
            f"{path.name}: launcher={launcher._value()!r} could set values that reach a shell or a cluster."
        )
        return [Problem("launcher", text, "not_allowed", "Write its keys and values.")]
    given = [f"launcher.{key!s}" for key in (launcher if isinstance(launcher, DictConfig) else ())]
    return [
        Problem(
            key,
            f"{path.name} sets {key}, which reaches a shell or a cluster.",
            "not_allowed",
            f"Give it with the command ({key}=…), or in conf/launcher/NAME.yaml.",
        )
        for key in given
        if key.partition(".")[2] in GUARDED_KEYS
    ]


def key_problem(key: str, node: Any, path: Path, groups: dict[str, dict[str, Option]]) -> Problem | None:
    tops = [field.name for field in fields(Config)]
    if key not in tops and key not in groups:
        text = f"{path.name}: unknown key {key!r}."
        return Problem(key, text, "unknown_key", did_you_mean(key, tops))
    if key in groups and not isinstance(node, DictConfig):
        value = node._value()
        text = (
            f"{path.name}: {key}: {value!r} chooses an option, which belongs in the defaults list: "
            f"`defaults: [override /{key}: {value}]`."
        )
        return Problem(key, text, "wrong_type")
    return None


def entry_problems(entry: Any, path: Path, groups: dict[str, dict[str, Option]]) -> list[Problem]:
    if entry == "_self_":
        return []
    if not isinstance(entry, DictConfig) or len(entry) != 1:
        text = f"{path.name}: defaults entry {entry!r}: expected `override /GROUP: OPTION`."
        return [Problem("defaults", text, "wrong_type")]
    key, option = next((str(key), option) for key, option in entry.items())
    words = key.split()
    group = words[-1].lstrip("/").partition("@")[0]
    label = f"{path.name}: {key}: {option}"
    if words[0] != "override" and group in groups:
        return [Problem(group, f"{label}: write `override /{group}: {option}`.", "incompatible")]
    return option_problems(group, option, groups, label)
