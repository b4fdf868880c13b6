"""Parses and applies command-line overrides in Hydra's grammar, which choose an option or set a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config.groups import GROUPS, Option
from runner.config.nearest import did_you_mean, nearest
from runner.config.quoting import parse_override, quoted_command, unreadable_problem
from runner.config.resolve import dotted_keys
from runner.config.schema import Config

__all__ = ["apply_value", "choice_problems", "chooses", "dotted_values", "option_problems", "parse_overrides"]


def parse_overrides(
    overrides: Iterable[str], problems: list[str], unreadable: set[str] | None = None
) -> list[Override]:
    """Return the valid overrides, and add a message to ``problems`` for each of the others.

    Args:
        overrides: the overrides as typed.
        problems: receives the messages.
        unreadable: receives the keys whose values could not be parsed.
    """
    parsed = []
    for text in overrides:
        try:
            override = parse_override(text)
        except HydraException as error:
            problems.append(unreadable_problem(text, error))
            if unreadable is not None:
                unreadable.add(text.partition("=")[0].lstrip("+~"))
            continue
        if override.is_sweep_override():
            problems.append(several_values(override, text))
            if unreadable is not None:
                unreadable.add(override.key_or_group)
        elif not override.key_or_group:
            problems.append(f"{text!r} has no key. Expected key=value.")
        else:
            parsed.append(override)
    return parsed


def several_values(override: Override, text: str) -> str:
    is_list = override.value_type == ValueType.SIMPLE_CHOICE_SWEEP and (command := quoted_command(text))
    quoted = f", or quote text that has a comma: {command}" if is_list else ""
    return (
        f"{text!r} gives several values, but a run takes one. Use -m to start a run for each of them, or give "
        f"a list as '{override.key_or_group}=[a, b]'{quoted}"
    ) + ("" if quoted else ".")


def chooses(override: Override, groups: dict[str, dict[str, Option]]) -> bool:
    """Whether Hydra must apply the override during composition: it chooses an option, or is meant for Hydra itself."""
    key = override.key_or_group
    if key.partition("/")[0].partition(".")[0] == "hydra":
        return True
    return (key in groups or override.package is not None) and not isinstance(override.value(), dict)


def choice_problems(override: Override, groups: dict[str, dict[str, Option]]) -> list[str]:
    """Checks that an override chooses an existing option."""
    group, text = override.key_or_group, override.input_line
    if group.startswith("hydra") or override.is_delete():
        return []
    if override.value() is None:
        return [f"{text}: choose one of {', '.join(sorted(groups[group]))}."]
    if override.is_add() and group in GROUPS:
        return [f"{text}: {group} already has an option. Use {text[1:]} to replace it."]
    return option_problems(group, override.value(), groups, text)


def option_problems(group: str, options: Any, groups: dict[str, dict[str, Option]], place: str) -> list[str]:
    """Checks that a group has the given options: a name, a list of names, or None."""
    if group not in groups:
        return [f"{place}: unknown group {group!r}. {did_you_mean(group, groups)}"]
    names = options if isinstance(options, list | ListConfig) else [options]
    return [
        f"{place}: unknown {group} {str(name)!r}. {did_you_mean(str(name), groups[group])}"
        for name in names
        if name is not None and str(name) not in groups[group]
    ]


def apply_value(override: Override, config: DictConfig) -> str | None:
    """Sets a value in the config like Hydra does. New keys are accepted, because they are checked against the constructor
    later.

    Returns:
        The problem with the override, or None.
    """
    key, text = override.key_or_group, override.input_line
    wrong = misplaced(key, text, config)
    if wrong:
        return wrong
    try:
        if override.is_add() and not override.is_force_add() and holds_value(config, key, override.value()):
            name = text.partition("=")[0].lstrip("+")
            return f"{text}: {key} already has a value. Use {name}=VALUE or ++{name}=VALUE."
        if override.is_delete():
            return delete(key, text, override.value(), config)
        OmegaConf.update(config, key, override.value(), merge=True, force_add=True)
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        return f"{text}: {str(error).strip().splitlines()[0]}."
    return None


def holds_value(config: DictConfig, key: str, value: Any) -> bool:
    """Whether Hydra rejects ``+key=value``: a value exists, and the new one is not a container that could be merged."""
    if isinstance(value, dict | list):
        return False
    try:
        return OmegaConf.select(config, key, throw_on_missing=False) is not None
    except OmegaConfBaseException:  # an unresolvable interpolation is a value too
        return True


def misplaced(key: str, text: str, config: DictConfig) -> str | None:
    """Return why a key cannot exist in the config, or None if it can."""
    *parents, _last = key.split(".")
    tops = [field.name for field in fields(Config)]
    top = parents[0] if parents else key
    if top not in tops and top not in config:
        similar = nearest(top, tops if parents else [*tops, *dotted_keys(config)])
        return f"{text}: unknown key {top!r}. {did_you_mean(top, similar or tops)}"
    node: Any = config
    for depth, name in enumerate(parents, start=1):
        node = node._get_node(name) if isinstance(node, DictConfig) else None
        if node is None or node._is_none() or node._is_missing():
            return None
        place, below = ".".join(parents[:depth]), key.split(".", depth)[-1]
        if node._is_interpolation():
            source = str(node._value())
            known = source[2:-1] in dotted_keys(config)
            instead = f"{source[2:-1]}.{below}" if known else f"{place} itself"
            return f"{text}: {place} is {source}; set {instead} instead."
        if not isinstance(node, DictConfig | ListConfig):
            return f"{text}: {place} is {node._value()!r}, a value with no keys below it."
        if isinstance(node, ListConfig):
            return None
    return None


def delete(key: str, text: str, value: Any, config: DictConfig) -> str | None:
    place, _, last = key.rpartition(".")
    node = OmegaConf.select(config, place) if place else config
    if not isinstance(node, DictConfig) or last not in node:
        return f"{text}: nothing at {key} to remove. {did_you_mean(key, dotted_keys(config))}"
    current = OmegaConf.to_container(node)[last]
    if value is not None and value != current:
        return (
            f"{text}: {key} is {current!r}, not {value!r}. Use ~{key} to remove it regardless of its value."
        )
    del node[last]
    return None


def dotted_values(key: str, value: Any) -> Iterator[str]:
    """Yield the key, and the keys below it if the value is a mapping."""
    yield key
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from dotted_values(f"{key}.{name}", inner)
