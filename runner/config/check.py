"""All mistakes of a composed config at once, before any data is read or a device is touched."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from omegaconf import DictConfig

from runner.config.compatibility import agreement_problems
from runner.config.composition import Composition
from runner.config.constructors import trial_problems
from runner.config.finite import non_finite_problems
from runner.config.folds import fold_problems
from runner.config.groups import GROUPS
from runner.config.hardware_no_effect import hardware_problems
from runner.config.machine import machine_problems
from runner.config.monitor import monitor_problems
from runner.config.nearest import did_you_mean
from runner.config.no_effect import effect_problems
from runner.config.node import check_value
from runner.config.resolve import dotted_keys, references, to_plain
from runner.config.schema import Config
from runner.config.signature import annotations_of
from runner.config.trainer import trainer_problems
from runner.errors import ConfigError

__all__ = ["check", "data_problems", "check_config"]


def check(composition: Composition) -> None:
    """Raises what is wrong with a composition.

    Raises:
        ConfigError: with every problem found.
    """
    problems = check_config(composition)
    if problems:
        raise ConfigError(problems)


def check_config(composition: Composition) -> list[str]:
    """One sentence a mistake, each once."""
    unresolved: list[str] = []
    plain = with_lr(to_plain(composition.config, unresolved))
    known = dotted_keys(composition.config)
    by_node = {str(key): node_problems(str(key), value, known) for key, value in plain.items()}
    unread = {key.partition(".")[0].partition("/")[0] for key in composition.unreadable}
    by_node = {key: without_keys(found, composition.unreadable) for key, found in by_node.items()}
    in_nodes, takers = at_their_source(by_node, composition.config)
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
        *hardware_problems(plain),
        *machine_problems(plain),
        *trial_problems(
            {key: node for key, node in plain.items() if key not in takers},
            wrong={key for key, found in by_node.items() if found} | unread,
        ),
    ]
    return list(dict.fromkeys(problems))


def with_lr(plain: dict[str, Any]) -> dict[str, Any]:
    """A learning rate in place of ``auto``, which the worker finds before the optimizer is built."""
    optimizer = plain.get("optimizer")
    if not isinstance(optimizer, dict) or optimizer.get("lr") != "auto":
        return plain
    return plain | {"optimizer": optimizer | {"lr": 1e-3}}


def data_problems(composition: Composition) -> list[str]:
    """Mistakes in the overrides and in the data node alone."""
    data = {"data": to_plain(composition.config, []).get("data")}
    found = node_problems("data", data["data"], dotted_keys(composition.config))
    found = without_keys(found, composition.unreadable)
    unread = any(is_below(key, "data") for key in composition.unreadable)
    problems = [*composition.problems, *found, *trial_problems(data, {"data"} if found or unread else ())]
    return list(dict.fromkeys(problems))


def without_keys(problems: list[str], unreadable: Iterable[str]) -> list[str]:
    """The problems of a node without those of keys that could not be read: one mistake, one message."""
    return [p for p in problems if not any(is_below(re.split("[=:]", p, maxsplit=1)[0], key) for key in unreadable)]


def at_their_source(by_node: dict[str, list[str]], config: DictConfig) -> tuple[list[str], set[str]]:
    """The problems without those of values that come from another key, where that key has the same trouble.

    Returns:
        The problems that stay, and the nodes that took a wrong value from another.
    """
    problems = [problem for found in by_node.values() for problem in found]
    places = [re.split("[=:]", problem, maxsplit=1)[0] for problem in problems]
    copies = {to for to, source in references(config) if any(is_below(place, source) for place in places)}
    kept = [
        p for p, place in zip(problems, places, strict=True) if not any(is_below(place, to) for to in copies)
    ]
    return kept, {to.partition(".")[0] for to in copies}


def is_below(place: str, other: str) -> bool:
    return f"{place}.".startswith(f"{other}.")


def node_problems(key: str, value: Any, known: Iterable[str]) -> list[str]:
    """Mistakes below one top-level key."""
    annotation = annotations_of(Config).get(key)
    if annotation is None:
        names = [field.name for field in dataclasses.fields(Config)]
        return [f"there is no {key!r}. {did_you_mean(str(key), names)}"]
    return check_value(annotation, value, key, known)


def absent_nodes(plain: dict[str, Any]) -> list[str]:
    """Nodes that every run needs and this config lacks."""
    needed = [field.name for field in dataclasses.fields(Config) if field.default is dataclasses.MISSING]
    return [
        f"there is no {name!r} in this config. Choose one: {name}=NAME."
        if name in GROUPS
        else f"there is no {name!r} in this config, and every run needs one."
        for name in needed
        if name not in plain
    ]
