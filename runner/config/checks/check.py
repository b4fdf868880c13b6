"""Checks a composed config and reports all problems at once, before any data is read or a device is used."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig

from runner.config.checks.arguments import check_value
from runner.config.checks.constructors import data_constructor_problems
from runner.config.checks.context import CheckContext
from runner.config.checks.registry import CHECKS
from runner.config.checks.trainer import non_finite_problems
from runner.config.composition import Composition
from runner.config.groups import GROUPS
from runner.config.introspect import annotations_of
from runner.config.plain import dotted_keys, references, to_plain
from runner.config.schema import Config
from runner.errors import ConfigError, Problem
from runner.suggest import did_you_mean

__all__ = ["check", "check_config", "data_problems", "with_lr"]


def check(composition: Composition) -> None:
    """Checks a composition.

    Raises:
        ConfigError: the config has problems; the error lists all of them.
    """
    problems = check_config(composition)
    if problems:
        raise ConfigError(problems)


def check_config(composition: Composition) -> list[Problem]:
    """Return the problems of a composed config, without duplicates."""
    unresolved: list[Problem] = []
    plain = with_lr(to_plain(composition.config, unresolved))
    keys = dotted_keys(composition.config)
    by_node = {
        str(key): readable_problems(node_problems(str(key), value, keys), composition.unreadable)
        for key, value in plain.items()
    }
    in_nodes = [problem for of_node in by_node.values() for problem in of_node]
    # Before CHECKS, so that no constructor is tried with these values.
    non_finite = {problem.key: problem for problem in non_finite_problems(plain)}
    in_nodes = [*non_finite.values(), *(problem for problem in in_nodes if problem.key not in non_finite)]
    copies = copies_of_invalid_values(in_nodes, composition.config)
    context = CheckContext(composition, plain, in_nodes, frozenset({*composition.unreadable, *copies}))
    in_nodes = [problem for problem in in_nodes if not any(problem.concerns(copy) for copy in copies)]
    problems = [*composition.problems, *unresolved, *in_nodes, *missing_nodes(plain)]
    for find in CHECKS:
        problems += find(context)
    return list(dict.fromkeys(problems))


def data_problems(composition: Composition) -> list[Problem]:
    """Return the problems of the overrides and of the data node only."""
    data = to_plain(composition.config, []).get("data")
    in_node = node_problems("data", data, dotted_keys(composition.config))
    in_node = readable_problems(in_node, composition.unreadable)
    context = CheckContext(composition, {"data": data}, in_node, frozenset(composition.unreadable))
    return list(dict.fromkeys([*composition.problems, *in_node, *data_constructor_problems(context)]))


def with_lr(plain: dict[str, Any]) -> dict[str, Any]:
    """Replaces ``optimizer.lr=auto`` by a number, as the worker does before it builds the optimizer."""
    optimizer = plain.get("optimizer")
    if not isinstance(optimizer, dict) or optimizer.get("lr") != "auto":
        return plain
    return plain | {"optimizer": optimizer | {"lr": 1e-3}}


def readable_problems(problems: list[Problem], unreadable: Iterable[str]) -> list[Problem]:
    """Drops problems of keys whose overrides could not be parsed, so that each mistake is reported once."""
    return [problem for problem in problems if not any(problem.concerns(key) for key in unreadable)]


def copies_of_invalid_values(problems: list[Problem], config: DictConfig) -> set[str]:
    """Return the keys that are interpolated from another key for which a problem is reported."""
    return {
        copy for copy, source in references(config) if any(problem.concerns(source) for problem in problems)
    }


def node_problems(key: str, value: Any, keys: Iterable[str]) -> list[Problem]:
    """Return the problems of the node at a top-level key.

    Args:
        key: the top-level key.
        value: the node, as plain containers.
        keys: dotted keys of the whole config, to suggest a key that belongs elsewhere.
    """
    annotation = annotations_of(Config).get(key)
    if annotation is None:
        names = [field.name for field in dataclasses.fields(Config)]
        return [Problem(key, f"unknown key {key!r}.", "unknown_key", did_you_mean(key, names))]
    return check_value(annotation, value, key, keys)


def missing_nodes(plain: dict[str, Any]) -> list[Problem]:
    """Return a problem for each required node that the config lacks."""
    required = [field.name for field in dataclasses.fields(Config) if field.default is dataclasses.MISSING]
    return [
        Problem(name, f"the config has no {name!r}.", "missing", f"Choose one: {name}=NAME.")
        if name in GROUPS
        else Problem(name, f"the config has no {name!r}, which every run needs.", "missing")
        for name in required
        if name not in plain
    ]
