"""Checks a composed config and reports all problems at once, before any data is read or a device is used."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig

from runner.config.checks.arguments import check_value
from runner.config.checks.compatibility import agreement_problems
from runner.config.checks.constructors import trial_problems
from runner.config.checks.environment import machine_problems
from runner.config.checks.folds import fold_problems
from runner.config.checks.no_effect import effect_problems, hardware_problems
from runner.config.checks.trainer import non_finite_problems, trainer_problems
from runner.config.composition import Composition
from runner.config.groups import GROUPS
from runner.config.introspect import annotations_of
from runner.config.monitor import monitor_problems
from runner.config.plain import dotted_keys, references, to_plain
from runner.config.schema import Config
from runner.errors import ConfigError
from runner.suggest import did_you_mean

__all__ = ["check", "check_config", "data_problems"]


def check(composition: Composition) -> None:
    """Checks a composition.

    Raises:
        ConfigError: the config has problems; the error lists all of them.
    """
    problems = check_config(composition)
    if problems:
        raise ConfigError(problems)


def check_config(composition: Composition) -> list[str]:
    """Return one message for each problem of a composed config, without duplicates."""
    unresolved: list[str] = []
    plain = with_lr(to_plain(composition.config, unresolved))
    known = dotted_keys(composition.config)
    by_node = {str(key): node_problems(str(key), value, known) for key, value in plain.items()}
    unread = {key.partition(".")[0].partition("/")[0] for key in composition.unreadable}
    by_node = {key: without_keys(messages, composition.unreadable) for key, messages in by_node.items()}
    in_nodes, copying = at_their_source(by_node, composition.config)
    problems = [
        *composition.problems,
        *unresolved,
        *in_nodes,
        *absent_nodes(plain),
        *non_finite_problems(plain),
        *trainer_problems(plain.get("trainer")),
        *agreement_problems(composition, plain),
        *([] if by_node.get("task") else monitor_problems(plain)),
        *effect_problems(composition, plain),
        *fold_problems(composition, plain),
        *hardware_problems(plain, composition.explicit),
        *machine_problems(plain),
        *trial_problems(
            {key: node for key, node in plain.items() if key not in copying},
            wrong={key for key, messages in by_node.items() if messages} | unread,
        ),
    ]
    return list(dict.fromkeys(problems))


def with_lr(plain: dict[str, Any]) -> dict[str, Any]:
    """Replaces ``optimizer.lr=auto`` by a number, as the worker does before it builds the optimizer."""
    optimizer = plain.get("optimizer")
    if not isinstance(optimizer, dict) or optimizer.get("lr") != "auto":
        return plain
    return plain | {"optimizer": optimizer | {"lr": 1e-3}}


def data_problems(composition: Composition) -> list[str]:
    """Return the problems of the overrides and of the data node only."""
    data = {"data": to_plain(composition.config, []).get("data")}
    in_node = node_problems("data", data["data"], dotted_keys(composition.config))
    in_node = without_keys(in_node, composition.unreadable)
    unread = any(is_below(key, "data") for key in composition.unreadable)
    problems = [*composition.problems, *in_node, *trial_problems(data, {"data"} if in_node or unread else ())]
    return list(dict.fromkeys(problems))


def without_keys(problems: list[str], unreadable: Iterable[str]) -> list[str]:
    """Drops problems of keys whose overrides could not be parsed, so that each mistake is reported once."""
    return [
        p
        for p in problems
        if not any(is_below(re.split("[=:]", p, maxsplit=1)[0], key) for key in unreadable)
    ]


def at_their_source(by_node: dict[str, list[str]], config: DictConfig) -> tuple[list[str], set[str]]:
    """Drops problems of values that are interpolated from another key for which the problem is reported too.

    Returns:
        The remaining problems, and the top-level keys that copy an invalid value from another key.
    """
    problems = [problem for messages in by_node.values() for problem in messages]
    places = [re.split("[=:]", problem, maxsplit=1)[0] for problem in problems]
    copies = {to for to, source in references(config) if any(is_below(place, source) for place in places)}
    kept = [
        p for p, place in zip(problems, places, strict=True) if not any(is_below(place, to) for to in copies)
    ]
    return kept, {to.partition(".")[0] for to in copies}


def is_below(place: str, other: str) -> bool:
    return f"{place}.".startswith(f"{other}.")


def node_problems(key: str, value: Any, known: Iterable[str]) -> list[str]:
    """Return the problems of the node at a top-level key."""
    annotation = annotations_of(Config).get(key)
    if annotation is None:
        names = [field.name for field in dataclasses.fields(Config)]
        return [f"unknown key {key!r}. {did_you_mean(str(key), names)}"]
    return check_value(annotation, value, key, known)


def absent_nodes(plain: dict[str, Any]) -> list[str]:
    """Return a message for each required node that the config lacks."""
    required = [field.name for field in dataclasses.fields(Config) if field.default is dataclasses.MISSING]
    return [
        f"the config has no {name!r}. Choose one: {name}=NAME."
        if name in GROUPS
        else f"the config has no {name!r}, which every run needs."
        for name in required
        if name not in plain
    ]
