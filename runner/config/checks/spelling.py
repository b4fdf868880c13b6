"""Misspelled names, found in a composed config without importing any constructor.

The complete check (`runner.config.checks.check`) imports torch and Lightning, which takes several seconds.
Misspelled names are therefore rejected before, unless the config may contain other mistakes, which have to be
reported together with them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from runner.config.build import HYDRA_KEYS
from runner.config.checks.arguments import check_value, hint, supplied_by_runner
from runner.config.checks.values import holds_unknown, is_number
from runner.config.composition import Composition
from runner.config.introspect import annotations_of, members, node_spec
from runner.config.plain import MISSING, dotted_keys, references, to_plain
from runner.config.schema import Config
from runner.config.static_signature import StaticParameter, static_signature
from runner.errors import ConfigError, Problem
from runner.suggest import did_you_mean

__all__ = ["misspellings", "reject_misspelled"]

CERTAIN = ("unknown_key", "unknown_option", "missing")
"""Kinds of problems that do not depend on a constructor."""
TYPES = {bool: ("bool",), int: ("int", "float"), float: ("float",), str: ("str", "Path"), list: ("list",)}
UPPER_BOUNDS = {"Le", "Lt", "Interval", "MultipleOf"}


def reject_misspelled(composition: Composition) -> None:
    """Reject misspelled names and missing values, if no other mistake is possible.

    Raises:
        ConfigError: contains all of them.
    """
    problems = misspellings(composition)
    if not problems or any(problem.kind not in CERTAIN for problem in problems):
        return
    wrong = {problem.key for problem in problems}
    copies = {key for key, _ in references(composition.config)}
    if all(_is_valid(key, composition) for key in composition.explicit - wrong - copies):
        raise ConfigError(problems)


def misspellings(composition: Composition) -> list[Problem]:
    """Return the problems of the overrides, and those of the changed nodes that need no imports."""
    unresolved: list[Problem] = []
    plain = to_plain(composition.config, unresolved)
    keys = list(dotted_keys(composition.config))
    touched = {key.partition(".")[0] for key in composition.explicit | composition.chosen_groups}
    in_nodes = [
        problem
        for key, node in plain.items()
        if key in touched
        for problem in _node_problems(str(key), node, keys)
    ]
    return list(dict.fromkeys([*composition.problems, *unresolved, *in_nodes]))


def _node_problems(key: str, node: Any, keys: Iterable[str]) -> Iterator[Problem]:
    annotation = annotations_of(Config).get(key)
    if annotation is None:
        names = [item.name for item in dataclasses.fields(Config)]
        yield Problem(key, f"unknown key {key!r}.", "unknown_key", did_you_mean(key, names))
    if annotation is None or not isinstance(node, dict):
        return
    if "_target_" not in node:
        if any(dataclasses.is_dataclass(member) for member in members(annotation)):
            yield from check_value(annotation, without_nodes(node), key, keys)
        return
    signature = static_signature(str(node["_target_"]))
    if signature is None or signature.any_name or node.get("_args_"):
        return
    supplied = supplied_by_runner(node_spec(annotation))
    valid = [name for name in signature.parameters if name not in supplied]
    arguments = {name: value for name, value in node.items() if name not in HYDRA_KEYS}
    for name in (name for name in arguments if name not in signature.parameters):
        text = f"{key}.{name}: {signature.name} has no parameter {name!r}."
        yield Problem(f"{key}.{name}", text, "unknown_key", hint(name, key, valid, keys))
    for name, value in arguments.items():
        if name in signature.parameters and value == MISSING:
            full = f"{key}.{name}"
            yield Problem(full, f"{full}: a value is required.", "missing", f"Add {full}=VALUE.")


def without_nodes(node: dict[str, Any]) -> dict[str, Any]:
    """Drop the values that contain constructors, whose check would import them."""
    return {name: value for name, value in node.items() if not holds_unknown(value)}


def _is_valid(key: str, composition: Composition) -> bool:
    """Return whether a value is certainly valid. Nodes without a constructor were checked completely."""
    top, _, name = key.partition(".")
    plain = to_plain(composition.config, [])
    node = plain.get(top)
    if not name or not isinstance(node, dict) or "_target_" not in node:
        annotation = annotations_of(Config).get(top)
        value = without_nodes(node) if isinstance(node, dict) else node
        return not holds_unknown(value) and not check_value(annotation, value, top)
    signature = static_signature(str(node["_target_"]))
    if signature is None or name not in signature.parameters:
        return False
    return _suits(node.get(name), signature.parameters[name])


def _suits(value: Any, parameter: StaticParameter) -> bool:
    """Return whether a value certainly suits an annotation."""
    if parameter.choices or value is None:
        return value in parameter.choices or (value is None and "None" in parameter.names)
    if is_number(value) and (value <= 0 or parameter.names & UPPER_BOUNDS):
        return False
    return any(name in parameter.names for name in TYPES.get(type(value), ()))
