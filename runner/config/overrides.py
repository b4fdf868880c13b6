"""Parses, quotes and applies command-line overrides in Hydra's grammar."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config.groups import GROUPS, Option
from runner.config.plain import dotted_keys
from runner.config.schema import Config
from runner.errors import Problem
from runner.run.flatten import flatten
from runner.suggest import did_you_mean, nearest

__all__ = [
    "apply_value",
    "as_overrides",
    "choice_problems",
    "chooses",
    "dotted_values",
    "option_problems",
    "parse_override",
    "parse_overrides",
    "quoted_command",
    "quoted_override",
    "spell",
    "unreadable_problem",
]

PLAIN = re.compile(r"(?:\.{0,2}/)?[A-Za-z_][\w./-]*", re.ASCII)
"""Strings that need no quotes in Hydra's grammar."""
WORDS = {"null", "true", "false", "nan", "inf", "yes", "no", "on", "off"}


def as_overrides(values: dict[str, Any]) -> list[str]:
    """``{"model": "mlp", "optimizer": {"lr": 0.1}}`` → ``["model=mlp", "optimizer.lr=0.1"]``."""
    return [f"{key}={spell(value)}" for key, value in flatten(values)]


def spell(value: Any) -> str:
    """Format a value in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(spell(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{spell(item)}' for key, item in value.items())}}}"
    text = str(value)
    if PLAIN.fullmatch(text) and text.lower() not in WORDS:
        return text
    # Within quotes, a backslash is literal unless a quote follows it.
    quoted = re.sub(r"(\\*)'", lambda match: match.group(1) * 2 + r"\'", text)
    quoted = re.sub(r"(\\+)$", lambda match: match.group(1) * 2, quoted)
    return f"'{quoted}'"


KEY = re.compile(r"[+~]{0,2}[A-Za-z_][\w./@:-]*", re.ASCII)
STRUCTURE = re.compile(r"\s*(?:[\[{]|\w+\()")
"""Beginnings of values that are more likely a malformed list, mapping or function than text."""


def parse_override(text: str) -> Override:
    """Parses an override with Hydra.

    A value that is invalid or a sweep is taken literally if it is an existing path.

    Raises:
        HydraException: the text is not an override.
    """
    parser = OverridesParser.create()
    try:
        override = parser.parse_override(text)
        if not (override.is_sweep_override() and names_file(text)):
            return override
    except HydraException:
        if not names_file(text):
            raise
    return parser.parse_override(quoted_override(text))


def names_file(text: str) -> bool:
    value = text.partition("=")[2]
    try:
        return bool(value) and Path(value).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long for a name, a null byte, an unknown user
        return False


def quoted_override(text: str) -> str:
    """Return ``key="value"``, quoted and escaped for Hydra's grammar."""
    key, _, value = text.partition("=")
    value = value.replace("${", "\\${")
    value = re.sub(r'(\\*)"', lambda match: match.group(1) * 2 + r"\"", value)
    value = re.sub(r"(\\+)$", lambda match: match.group(1) * 2, value)
    return f'{key}="{value}"'


def quoted_command(text: str) -> str:
    """Return the quoted override, quoted for the shell too; empty if quotes do not make it valid."""
    key, sign, value = text.partition("=")
    if not sign or not value or not KEY.fullmatch(key):
        return ""
    quoted = quoted_override(text)
    try:
        OverridesParser.create().parse_override(quoted)
    except HydraException:
        return ""
    return shlex.quote(quoted)


def unreadable_problem(text: str, error: Exception) -> Problem:
    """Return the problem of an override that cannot be parsed, with the text to type instead."""
    key, command = key_of(text), quoted_command(text)
    if not command:
        reason = f"{text!r} is not an override: {str(error).strip().splitlines()[0]}."
        return Problem(key, reason, "unreadable", "Expected key=value.")
    if STRUCTURE.match(text.partition("=")[2]):
        reason = f"{text!r} is not an override: a bracket or a quote is missing, or text is not quoted."
        hint = f"Lists are written [a, b]; if the value is text, type {command}"
        return Problem(key, reason, "unreadable", hint)
    reason = f"{text!r} is not an override: its value has to be quoted."
    return Problem(key, reason, "unreadable", f"Type {command}")


def key_of(text: str) -> str:
    """Return the key of an override, without a sign."""
    return text.partition("=")[0].lstrip("+~")


def parse_overrides(
    overrides: Iterable[str], problems: list[Problem], unreadable: set[str] | None = None
) -> list[Override]:
    """Return the valid overrides, and add a problem to ``problems`` for each of the others.

    Args:
        overrides: the overrides as typed.
        problems: receives the problems.
        unreadable: receives the keys whose values could not be parsed.
    """
    parsed = []
    for text in overrides:
        try:
            override = parse_override(text)
        except HydraException as error:
            problems.append(unreadable_problem(text, error))
            if unreadable is not None:
                unreadable.add(key_of(text))
            continue
        if override.is_sweep_override():
            problems.append(several_values(override, text))
            if unreadable is not None:
                unreadable.add(override.key_or_group)
        elif not override.key_or_group:
            problems.append(Problem("", f"{text!r} has no key.", "unreadable", "Expected key=value."))
        else:
            parsed.append(override)
    return parsed


def several_values(override: Override, text: str) -> Problem:
    key = override.key_or_group
    reason = f"{text!r} gives several values, but a run takes one."
    hint = f"Use -m to start a run for each of them, or give a list as '{key}=[a, b]'"
    is_list = override.value_type == ValueType.SIMPLE_CHOICE_SWEEP and (command := quoted_command(text))
    hint += f", or quote text that has a comma: {command}" if is_list else "."
    return Problem(key, reason, "unreadable", hint)


def chooses(override: Override, groups: dict[str, dict[str, Option]]) -> bool:
    """Return whether Hydra must apply the override during composition.

    It must if the override chooses an option, or is meant for Hydra itself.
    """
    key = override.key_or_group
    if key.partition("/")[0].partition(".")[0] == "hydra":
        return True
    return (key in groups or override.package is not None) and not isinstance(override.value(), dict)


def choice_problems(override: Override, groups: dict[str, dict[str, Option]]) -> list[Problem]:
    """Checks that an override chooses an existing option."""
    group, text = override.key_or_group, override.input_line or ""
    if group.startswith("hydra") or override.is_delete():
        return []
    if override.value() is None:
        return [Problem(group, f"{text}: choose one of {', '.join(sorted(groups[group]))}.", "missing")]
    if override.is_add() and group in GROUPS:
        remedy = f"Use {text[1:]} to replace it."
        return [Problem(group, f"{text}: {group} already has an option.", "duplicate", remedy)]
    return option_problems(group, override.value(), groups, text)


def option_problems(
    group: str, options: Any, groups: dict[str, dict[str, Option]], label: str
) -> list[Problem]:
    """Checks that a group has the given options.

    Args:
        group: name of the group.
        options: a name, a list of names, or None.
        groups: the available options.
        label: the override or the entry of a file, for messages.
    """
    if group not in groups:
        text = f"{label}: unknown group {group!r}."
        return [Problem(group, text, "unknown_key", did_you_mean(group, groups))]
    names = options if isinstance(options, list | ListConfig) else [options]
    return [
        Problem(
            group,
            f"{label}: unknown {group} {str(name)!r}.",
            "unknown_option",
            did_you_mean(str(name), groups[group]),
        )
        for name in names
        if name is not None and str(name) not in groups[group]
    ]


def apply_value(override: Override, config: DictConfig) -> Problem | None:
    """Sets a value in the config like Hydra does.

    New keys are accepted, because they are checked against the constructor later.

    Returns:
        The problem with the override, or None.
    """
    key, text = override.key_or_group, override.input_line or ""
    problem = misplaced(key, text, config)
    if problem:
        return problem
    try:
        if override.is_add() and not override.is_force_add() and holds_value(config, key, override.value()):
            remedy = f"Use {key_of(text)}=VALUE or ++{key_of(text)}=VALUE."
            return Problem(key, f"{text}: {key} already has a value.", "duplicate", remedy)
        if override.is_delete():
            return delete(key, text, override.value(), config)
        OmegaConf.update(config, key, override.value(), merge=True, force_add=True)
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        return Problem(key, f"{text}: {str(error).strip().splitlines()[0]}.", "invalid_value")
    return None


def holds_value(config: DictConfig, key: str, value: Any) -> bool:
    """Return whether Hydra rejects ``+key=value``.

    It does if a value exists, unless the new one is a container, which could be merged.
    """
    if isinstance(value, dict | list):
        return False
    try:
        return OmegaConf.select(config, key, throw_on_missing=False) is not None
    except OmegaConfBaseException:  # an unresolvable interpolation is a value too
        return True


def misplaced(key: str, text: str, config: DictConfig) -> Problem | None:
    """Return why a key cannot exist in the config, or None if it can.

    Args:
        key: the dotted key.
        text: the override as typed.
        config: the config.
    """
    *parents, _last = key.split(".")
    tops = [field.name for field in fields(Config)]
    top = parents[0] if parents else key
    if top not in tops and top not in config:
        similar = nearest(top, tops if parents else [*tops, *dotted_keys(config)])
        suggestion = did_you_mean(top, similar or tops)
        return Problem(key, f"{text}: unknown key {top!r}.", "unknown_key", suggestion)
    node: Any = config
    for depth, name in enumerate(parents, start=1):
        node = node._get_node(name) if isinstance(node, DictConfig) else None
        if node is None or node._is_none() or node._is_missing():
            return None
        parent, below = ".".join(parents[:depth]), key.split(".", depth)[-1]
        if node._is_interpolation():
            source = str(node._value())
            known = source[2:-1] in dotted_keys(config)
            instead = f"{source[2:-1]}.{below}" if known else f"{parent} itself"
            return Problem(key, f"{text}: {parent} is {source}; set {instead} instead.", "incompatible")
        if not isinstance(node, DictConfig | ListConfig):
            reason = f"{text}: {parent} is {node._value()!r}, a value with no keys below it."
            return Problem(key, reason, "unknown_key")
        if isinstance(node, ListConfig):
            return None
    return None


def delete(key: str, text: str, value: Any, config: DictConfig) -> Problem | None:
    """Removes a key from the config.

    Returns:
        The problem with the override, or None.
    """
    parent, _, last = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if not isinstance(node, DictConfig) or last not in node:
        suggestion = did_you_mean(key, dotted_keys(config))
        return Problem(key, f"{text}: nothing at {key} to remove.", "unknown_key", suggestion)
    current = cast(dict[str, Any], OmegaConf.to_container(node))[last]
    if value is not None and value != current:
        remedy = f"Use ~{key} to remove it regardless of its value."
        return Problem(key, f"{text}: {key} is {current!r}, not {value!r}.", "invalid_value", remedy)
    del node[last]
    return None


def dotted_values(key: str, value: Any) -> Iterator[str]:
    """Yield the key, and the keys below it if the value is a mapping."""
    yield key
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from dotted_values(f"{key}.{name}", inner)
