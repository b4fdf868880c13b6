"""Converts a config to plain containers and reports every interpolation that cannot be resolved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from runner.config.facts import PLACEHOLDER, UNRESOLVED, placeholder
from runner.errors import ConfigError, Problem
from runner.suggest import did_you_mean

__all__ = [
    "MISSING",
    "dotted_keys",
    "escaped",
    "interpolated_keys",
    "references",
    "texts_of",
    "to_plain",
    "to_yaml",
]

MISSING = "???"
"""OmegaConf's marker of a required value."""

REFERENCE = re.compile(r"\$\{\s*(?:oc\.select:)?\s*([A-Za-z_][\w.]*)\s*[},]")


def to_plain(config: Any, problems: list[Problem], path: str = "") -> Any:
    """Resolves a config node by node.

    An unresolvable value is replaced by a placeholder and reported in ``problems``.
    """
    if isinstance(config, DictConfig):
        if config._is_none():
            return None
        return {key: to_plain(*child(config, key, problems, path)) for key in config}
    if isinstance(config, ListConfig):
        if config._is_none():
            return None
        return [to_plain(*child(config, i, problems, path)) for i in range(len(config))]
    return config


def child(
    config: DictConfig | ListConfig, key: Any, problems: list[Problem], path: str
) -> tuple[Any, list[Problem], str]:
    """Return the value at a key, and the further arguments of ``to_plain`` for it."""
    full = f"{path}[{key}]" if isinstance(config, ListConfig) else f"{path}.{key}".lstrip(".")
    if OmegaConf.is_missing(config, key):
        return MISSING, problems, full
    try:
        return config[key], problems, full
    except (OmegaConfBaseException, ConfigError, RecursionError) as error:
        node: Any = config._get_node(key)
        problems.append(unresolved(error, str(node._value()), full, config))
        return placeholder(UNRESOLVED), problems, full


def unresolved(error: Exception, text: str, key: str, config: DictConfig | ListConfig) -> Problem:
    """Return the problem of a value whose interpolation failed with an error."""
    failed = f"{key}: {text} cannot be resolved"
    reference = REFERENCE.search(text)
    if reference and isinstance(error, InterpolationKeyError):
        root = config._get_root()
        keys = dotted_keys(root) if isinstance(root, DictConfig) else []
        name = reference.group(1)
        return Problem(key, f"{failed}: unknown key {name!r}.", "unresolved", did_you_mean(name, keys))
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    reason = reason.partition(" raised while resolving interpolation: ")[2] or reason
    return Problem(key, f"{failed}: {reason}" + ("" if reason.endswith((".", "?")) else "."), "unresolved")


def to_yaml(plain: Any) -> str:
    """Dumps plain containers as YAML that loads as the same values.

    Placeholders of facts are written as ``${facts:KEY}``; other text that looks like an interpolation (such
    as the name of a class folder) is escaped.
    """
    return OmegaConf.to_yaml(OmegaConf.create(escaped(plain)))


def escaped(value: Any) -> Any:
    """Return plain containers as ``to_yaml`` stores them: with ``${facts:KEY}``, and other text escaped."""
    if isinstance(value, dict):
        return {key: escaped(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [escaped(inner) for inner in value]
    if isinstance(value, str):
        text = re.sub(r"(\\*)\$\{", lambda match: 2 * match.group(1) + "\\${", value)
        return PLACEHOLDER.sub(r"${facts:\1}", text)
    return value


def walk(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted key, node)`` for every key, without following interpolations."""
    for key in config if isinstance(config, DictConfig) and not config._is_none() else ():
        full, node = f"{prefix}.{key!s}".lstrip("."), config._get_node(key)
        yield full, node
        if not node._is_interpolation() and not node._is_missing():
            yield from walk(node, full)


def dotted_keys(config: DictConfig) -> list[str]:
    """Return every key of a config as a dotted path."""
    return [key for key, _ in walk(config)]


def references(config: DictConfig) -> Iterator[tuple[str, str]]:
    """Yield ``(dotted key, referenced key)`` for every value that consists only of ``${key}``."""
    for key, node in walk(config):
        text = str(node._value()) if node._is_interpolation() else ""
        match = re.fullmatch(r"\$\{([A-Za-z_][\w.]*)\}", text)
        if match:
            yield key, match.group(1)


def interpolated_keys(config: DictConfig) -> set[str]:
    """Return the dotted keys that the config interpolates as ``${key}``, and those below them."""
    used = set(REFERENCE.findall(OmegaConf.to_yaml(config, resolve=False)))
    return {key for key in dotted_keys(config) if any(f"{key}.".startswith(f"{name}.") for name in used)}


def texts_of(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield ``(dotted key, text)`` for the texts in nested containers, keys of mappings included."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield f"{key}.{name}".lstrip("."), str(name)
            yield from texts_of(item, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts_of(item, f"{key}[{index}]")
    elif isinstance(value, str):
        yield key, value
