"""Checks a config node against the signature of its constructor: names, values and nested nodes."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

from runner.config.allow_list import locate, resolve_target
from runner.config.build import HYDRA_KEYS
from runner.config.checks.values import holds_unknown, show, type_problems
from runner.config.groups import GROUPS
from runner.config.introspect import (
    NodeSpec,
    annotations_of,
    members,
    named_parameters,
    parameters_of,
    part_of,
)
from runner.config.plain import MISSING
from runner.errors import ConfigError
from runner.suggest import did_you_mean, nearest

__all__ = ["arguments_of", "check_value", "given_by_runner", "name_problems", "takes_any"]


def given_by_runner(part: NodeSpec | None) -> set[str]:
    return {*part.supplied, *part.first} if part else set()


def takes_any(parameters: dict[str, inspect.Parameter]) -> bool:
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def arguments_of(
    node: dict[str, Any], place: str, parameters: dict[str, inspect.Parameter]
) -> tuple[dict[str, Any], list[str]]:
    """Return the arguments by name, including those of ``_args_``, and the problems of ``_args_``."""
    arguments = {key: value for key, value in node.items() if key not in HYDRA_KEYS}
    positional = node.get("_args_") or []
    if not isinstance(positional, list):
        return arguments, []
    names = [
        name for name, parameter in parameters.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    takes_more = any(p.kind in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY) for p in parameters.values())
    twice = [name for name in names[: len(positional)] if name in arguments]
    problems = [f"{place}.{name}: given twice, by name and in _args_." for name in twice]
    if len(positional) > len(names) and not takes_more:
        problems.append(f"{place}._args_ holds {len(positional)} arguments, expected at most {len(names)}.")
    return dict(zip(names, positional, strict=False)) | arguments, problems


def name_problems(
    label: str,
    parameters: dict[str, inspect.Parameter],
    arguments: dict[str, Any],
    place: str,
    known: Iterable[str] = (),
    part: NodeSpec | None = None,
    partial: bool | None = False,
) -> list[str]:
    """Return problems with names: unknown ones, missing ones, and those that runner supplies itself."""
    part = part or NodeSpec()
    named = named_parameters(parameters)
    open_ended = takes_any(parameters)
    supplied = given_by_runner(part)
    problems = []
    for key in arguments:
        if key in supplied:
            problems.append(f"{place}.{key}: runner itself passes {key!r} to {label}; remove it.")
        elif key not in named and not open_ended:
            valid = [name for name in named if name not in supplied]
            problems.append(
                f"{place}.{key}: {label} has no parameter {key!r}. {hint(str(key), place, valid, known)}"
            )
    for name in part.supplied:
        if name not in named and not open_ended:
            problems.append(f"{place}: runner calls {label} with {name!r}, which it does not take.")
    for name, parameter in named.items():
        required = parameter.default is parameter.empty and name not in arguments and name not in supplied
        if required and not (partial and not part.makes):
            problems.append(f"{place}: {label} requires {name!r}. Add {place}.{name}=VALUE.")
    return problems


def hint(key: str, place: str, valid: list[str], known: Iterable[str]) -> str:
    """Suggest a similar name of this node, or else the same name elsewhere in the config."""
    valid = [*valid, *(HYDRA_KEYS if key.startswith("_") else ())]
    if not nearest(key, valid):
        elsewhere = [
            other for other in known if other.rpartition(".")[2] == key and other != f"{place}.{key}"
        ]
        if elsewhere:
            return f"Did you mean {' or '.join(repr(other) for other in elsewhere[:3])}?"
    return did_you_mean(key, valid)


CONVERSIONS = ("all", "partial", "object")


def check_value(annotation: Any, value: Any, place: str, known: Iterable[str] = ()) -> list[str]:
    """Return the problems of a value and of every node inside it.

    Args:
        annotation: annotation of the parameter.
        value: the value, as plain containers.
        place: dotted key of the value, for messages.
        known: dotted keys of the whole config, to suggest a key that belongs elsewhere.
    """
    if isinstance(value, str) and value == MISSING:
        return [f"{place}: a value is required. Add {place}=VALUE."]
    part = part_of(annotation)
    if isinstance(value, dict) and "_target_" in value:
        return check_node(value, place, known, part, annotation)
    if part and not (value is None and types.NoneType in members(annotation)):
        choose = f"Choose an option with {place}=NAME." if place in GROUPS else f"Give {place}._target_."
        return [f"{place}={show(value)} is not a constructor: it has no _target_. {choose}"]
    if isinstance(value, dict) and wants_object(annotation):
        return [f"{place}={show(value)} is not a constructor: it has no _target_."]
    inner = [
        problem for item in inner_values(annotation, value, place) for problem in check_value(*item, known)
    ]
    for member in members(annotation):
        if dataclasses.is_dataclass(member) and isinstance(value, dict):
            return check_arguments(member, value, place, known)
    return inner or type_problems(annotation, value, place)


def wants_object(annotation: Any) -> bool:
    """Whether an annotation requires an object, and no plain container is valid."""
    kinds = [m for m in members(annotation) if m is not types.NoneType]
    plain = (str, int, float, bool, list, tuple, dict, set, object)
    return bool(kinds) and all(
        typing.get_origin(kind) is Callable
        or (is_kind(kind) and kind not in plain and not dataclasses.is_dataclass(kind))
        for kind in kinds
    )


def is_kind(annotation: Any) -> bool:
    """Whether an annotation is a class suitable for ``isinstance``: not ``Any``, ``list[int]`` or a
    protocol.
    """
    if annotation is Any or typing.get_origin(annotation) or getattr(annotation, "_is_protocol", False):
        return False
    return inspect.isclass(annotation) and not typing.is_typeddict(annotation)


def inner_values(annotation: Any, value: Any, place: str) -> Iterable[tuple[Any, Any, str]]:
    """Return annotation, value and dotted key of the items to check separately: all if annotated, else those
    with nodes.
    """
    if isinstance(value, dict):
        mappings = [m for m in members(annotation) if typing.get_origin(m) is dict]
        inner = typing.get_args(mappings[0])[1] if mappings else Any
        return [
            (inner, item, f"{place}.{key}") for key, item in value.items() if mappings or holds_unknown(item)
        ]
    if isinstance(value, list):
        return [(Any, item, f"{place}[{i}]") for i, item in enumerate(value) if holds_unknown(item)]
    return []


def check_node(
    node: dict[str, Any], place: str, known: Iterable[str], part: NodeSpec | None, annotation: Any
) -> list[str]:
    """Return the problems of a node with ``_target_``."""
    try:
        constructor = resolve_target(node["_target_"])
    except ConfigError as error:
        return [f"{place}: {problem}" for problem in error.problems]
    problems = kind_problems(constructor, node, place, part, annotation)
    if problems:
        return problems
    return key_problems(node, place, part) + check_arguments(constructor, node, place, known, part)


def kind_problems(
    constructor: Callable[..., Any], node: dict[str, Any], place: str, part: NodeSpec | None, annotation: Any
) -> list[str]:
    """Checks that a constructor returns the type that is expected at ``place``."""
    returned = constructor if inspect.isclass(constructor) else annotations_of(constructor).get("return")
    if part:
        expected = [locate(part.makes)] if part.makes else []
    else:
        expected = (
            [] if node.get("_partial_") else [m for m in members(annotation) if m is not types.NoneType]
        )
    if not expected or not all(is_kind(kind) for kind in (returned, *expected)):
        return []
    if issubclass(returned, tuple(expected)):
        return []
    names = " or ".join(kind.__name__ for kind in expected)
    return [f"{place}: {node['_target_']} returns a {returned.__name__}, expected a {names}."]


def key_problems(node: dict[str, Any], place: str, part: NodeSpec | None) -> list[str]:
    """Checks Hydra's special keys, which are not arguments."""
    problems = []
    for key in ("_partial_", "_recursive_"):
        if not isinstance(node.get(key, False), bool):
            problems.append(f"{place}.{key}={show(node[key])}: expected true or false.")
    if node.get("_convert_", "all") not in CONVERSIONS:
        problems.append(f"{place}._convert_={show(node['_convert_'])}: expected {', '.join(CONVERSIONS)}.")
    if not isinstance(node.get("_args_", []), list | None):
        problems.append(f"{place}._args_={show(node['_args_'])}: expected a list.")
    if part and part.makes and bool(node.get("_partial_")) != part.deferred:
        need = "is called later by runner: add" if part.deferred else "is built at once: remove"
        problems.append(f"{place} {need} _partial_: true.")
    return problems


def check_arguments(
    constructor: Callable[..., Any],
    node: dict[str, Any],
    place: str,
    known: Iterable[str],
    part: NodeSpec | None = None,
) -> list[str]:
    """Return the problems of the arguments that a node passes to its constructor."""
    parameters = parameters_of(constructor)
    if parameters is None:
        return []
    given = given_by_runner(part)
    if given and node.get("_args_"):
        return [f"{place}._args_: runner passes positional arguments itself; give yours by name."]
    hints = annotations_of(constructor)
    arguments, problems = arguments_of(node, place, parameters)
    problems += name_problems(
        constructor.__name__, parameters, arguments, place, known, part, node.get("_partial_")
    )
    for key, value in arguments.items():
        parameter = parameters.get(key)
        if parameter is None or parameter not in named_parameters(parameters).values():
            problems += check_value(Any, value, f"{place}.{key}", known) if takes_any(parameters) else []
        elif key not in given and not (value is None and parameter.default is None):
            problems += check_value(hints.get(key, Any), value, f"{place}.{key}", known)
    return problems
