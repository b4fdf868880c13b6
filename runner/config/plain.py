"""A config as plain containers, with every interpolation that cannot be resolved named."""

from __future__ import annotations

import re
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config.facts import placeholder
from runner.errors import ConfigError

__all__ = ["MISSING", "interpolated_keys", "to_plain"]

MISSING = "???"


def to_plain(config: Any, problems: list[str], path: str = "") -> Any:
    """Resolves a config node by node. What cannot be resolved becomes a placeholder and a sentence in ``problems``."""
    if isinstance(config, DictConfig):
        if config._is_none():
            return None
        return {
            str(key): to_plain(child(config, key, problems, path), problems, f"{path}.{key}" if path else str(key))
            for key in config
        }
    if isinstance(config, ListConfig):
        if config._is_none():
            return None
        return [
            to_plain(child(config, i, problems, path), problems, f"{path}[{i}]") for i in range(len(config))
        ]
    return config


def child(config: DictConfig | ListConfig, key: Any, problems: list[str], path: str) -> Any:
    place = f"{path}.{key}" if path else str(key)
    if OmegaConf.is_missing(config, key):
        return MISSING
    try:
        return config[key]
    except (OmegaConfBaseException, ConfigError) as error:
        raw = config._get_node(key)
        text = raw._value() if raw is not None else ""
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        cause = error.__cause__
        if isinstance(cause, ConfigError):
            reason = str(cause)
        problems.append(f"{place}: {text} cannot be resolved: {reason}.")
        return placeholder("?")


def interpolated_keys(config: DictConfig) -> set[str]:
    """Dotted keys that some value of the config refers to as ``${key}``."""
    text = OmegaConf.to_yaml(config, resolve=False)
    return set(re.findall(r"\$\{([A-Za-z_][\w.]*)\}", text))
