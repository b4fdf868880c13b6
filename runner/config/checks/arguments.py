"""Checks a config node against the signature of its constructor: names, values and nested nodes."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

from runner.config.allow_list import locate, resolve_target
from runner.config.build import HYDRA_KEYS
from runner.config.checks.values import holds_unknown, show, type_problems
from runner.config.forbidden_arguments import forbidden_arguments
from runner.config.groups import GROUPS
from runner.config.introspect import (
    NodeSpec,
    annotations_of,
    members,
    named_parameters,
    node_spec,
    parameters_of,
)
from runner.config.plain import MISSING
from runner.errors import ConfigError, Problem
from runner.suggest import did_you_mean, nearest

__all__ = ["arguments_of", "check_value", "name_problems", "supplied_by_runner", "takes_any"]

MAX_ELSEWHERE = 3
"""Maximum number of keys of other nodes that are suggested for an unknown key."""


def supplied_by_runner(spec: NodeSpec | None) -> set[str]:
    """Return the names of the parameters that runner passes to the constructor of a node."""
    return {*spec.supplied, *spec.first} if spec else set()


def takes_any(parameters: dict[str, inspect.Parameter]) -> bool:
    """Return whether a signature has ``**kwargs``."""
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def arguments_of(
    node: dict[str, Any], key: str, parameters: dict[str, inspect.Parameter]
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the arguments by name, including those of ``_args_``, and the problems of ``_args_``.

    Args:
        node: the node, as plain containers.
        key: dotted key of the node.
        parameters: the signature of its constructor.
    """
    arguments = {name: value for name, value in node.items() if name not in HYDRA_KEYS}
    positional = node.get("_args_") or []
    if not isinstance(positional, list):
        return arguments, []
    names = [
        name for name, parameter in parameters.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    takes_more = any(p.kind in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY) for p in parameters.values())
    twice = [name for name in names[: len(positional)] if name in arguments]
    problems = [
        Problem(f"{key}.{name}", f"{key}.{name}: given twice, by name and in _args_.", "duplicate")
        for name in twice
    ]
    if len(positional) > len(names) and not takes_more:
        text = f"{key}._args_ holds {len(positional)} arguments, expected at most {len(names)}."
        problems.append(Problem(f"{key}._args_", text, "out_of_bounds"))
    return dict(zip(names, positional, strict=False)) | arguments, problems


def name_problems(
    label: str,
    parameters: dict[str, inspect.Parameter],
    arguments: dict[str, Any],
    key: str,
    known: Iterable[str] = (),
    spec: NodeSpec | None = None,
    partial: bool | None = False,
) -> list[Problem]:
    """Return problems with names: unknown ones, missing ones, and those that runner supplies itself.

    Args:
        label: name of the constructor, for messages.
        parameters: its signature.
        arguments: the arguments that the node gives, by name.
        key: dotted key of the node.
        known: dotted keys of the whole config, to suggest a key that belongs elsewhere.
        spec: the arguments that runner supplies.
        partial: whether the node is only a factory, whose caller may give further arguments.
    """
    spec = spec or NodeSpec()
    named = named_parameters(parameters)
    open_ended = takes_any(parameters)
    supplied = supplied_by_runner(spec)
    problems = []
    for name in arguments:
        full = f"{key}.{name}"
        if name in supplied:
            text = f"{full}: runner itself passes {name!r} to {label}; remove it."
            problems.append(Problem(full, text, "reserved"))
        elif name not in named and not open_ended:
            valid = [parameter for parameter in named if parameter not in supplied]
            text = f"{full}: {label} has no parameter {name!r}."
            problems.append(Problem(full, text, "unknown_key", hint(str(name), key, valid, known)))
    for name in spec.supplied:
        if name not in named and not open_ended:
            text = f"{key}: runner calls {label} with {name!r}, which it does not take."
            problems.append(Problem(key, text, "incompatible"))
    for name, parameter in named.items():
        required = parameter.default is parameter.empty and name not in arguments and name not in supplied
        if required and not (partial and not spec.makes):
            text = f"{key}: {label} requires {name!r}."
            problems.append(Problem(f"{key}.{name}", text, "missing", f"Add {key}.{name}=VALUE."))
    return problems


def hint(name: str, key: str, valid: list[str], known: Iterable[str]) -> str:
    """Suggest a similar name of this node, or else the same name elsewhere in the config."""
    valid = [*valid, *(HYDRA_KEYS if name.startswith("_") else ())]
    if not nearest(name, valid):
        elsewhere = [
            other for other in known if other.rpartition(".")[2] == name and other != f"{key}.{name}"
        ]
        if elsewhere:
            return f"Did you mean {' or '.join(repr(other) for other in elsewhere[:MAX_ELSEWHERE])}?"
    return did_you_mean(name, valid)


CONVERSIONS = ("all", "partial", "object")


def check_value(annotation: Any, value: Any, key: str, known: Iterable[str] = ()) -> list[Problem]:
    """Return the problems of a value and of every node inside it.

    Args:
        annotation: annotation of the parameter.
        value: the value, as plain containers.
        key: dotted key of the value.
        known: dotted keys of the whole config, to suggest a key that belongs elsewhere.
    """
    if isinstance(value, str) and value == MISSING:
        return [Problem(key, f"{key}: a value is required.", "missing", f"Add {key}=VALUE.")]
    spec = node_spec(annotation)
    if isinstance(value, dict) and "_target_" in value:
        return check_node(value, key, known, spec, annotation)
    no_node = f"{key}={show(value)} is not a constructor: it has no _target_."
    if spec and not (value is None and types.NoneType in members(annotation)):
        choose = f"Choose an option with {key}=NAME." if key in GROUPS else f"Give {key}._target_."
        return [Problem(key, no_node, "wrong_type", choose)]
    if isinstance(value, dict) and wants_object(annotation):
        return [Problem(key, no_node, "wrong_type")]
    inner = [
        problem for item in inner_values(annotation, value, key) for problem in check_value(*item, known)
    ]
    for member in members(annotation):
        if dataclasses.is_dataclass(member) and isinstance(member, type) and isinstance(value, dict):
            return check_arguments(member, value, key, known)
    return inner or type_problems(annotation, value, key)


def wants_object(annotation: Any) -> bool:
    """Return whether an annotation requires an object, so that no plain container is valid."""
    kinds = [m for m in members(annotation) if m is not types.NoneType]
    plain = (str, int, float, bool, list, tuple, dict, set, object)
    return bool(kinds) and all(
        typing.get_origin(kind) is Callable
        or (is_class(kind) and kind not in plain and not dataclasses.is_dataclass(kind))
        for kind in kinds
    )


def is_class(annotation: Any) -> TypeGuard[type]:
    """Return whether an annotation is a class suitable for ``isinstance``.

    ``Any``, ``list[int]`` and protocols are not.
    """
    if annotation is Any or typing.get_origin(annotation) or getattr(annotation, "_is_protocol", False):
        return False
    return inspect.isclass(annotation) and not typing.is_typeddict(annotation)


def inner_values(annotation: Any, value: Any, key: str) -> Iterable[tuple[Any, Any, str]]:
    """Return annotation, value and dotted key of the items to check separately.

    These are all items if they have an annotation, and otherwise those with nodes.
    """
    if isinstance(value, dict):
        mappings = [m for m in members(annotation) if typing.get_origin(m) is dict]
        inner = typing.get_args(mappings[0])[1] if mappings else Any
        return [
            (inner, item, f"{key}.{name}") for name, item in value.items() if mappings or holds_unknown(item)
        ]
    if isinstance(value, list):
        return [(Any, item, f"{key}[{i}]") for i, item in enumerate(value) if holds_unknown(item)]
    return []


def check_node(
    node: dict[str, Any], key: str, known: Iterable[str], spec: NodeSpec | None, annotation: Any
) -> list[Problem]:
    """Return the problems of a node with ``_target_``."""
    try:
        constructor = resolve_target(node["_target_"])
    except ConfigError as error:
        return [problem.within(key) for problem in error.problems]
    problems = class_problems(constructor, node, key, spec, annotation)
    problems += [problem.within(key) for problem in forbidden_arguments(constructor, node)]
    if problems:
        return problems
    return special_key_problems(node, key, spec) + check_arguments(constructor, node, key, known, spec)


def class_problems(
    constructor: Callable[..., Any], node: dict[str, Any], key: str, spec: NodeSpec | None, annotation: Any
) -> list[Problem]:
    """Checks that a constructor returns the type that the key expects."""
    returned = constructor if inspect.isclass(constructor) else annotations_of(constructor).get("return")
    if spec:
        expected = [locate(spec.makes)] if spec.makes else []
    else:
        expected = (
            [] if node.get("_partial_") else [m for m in members(annotation) if m is not types.NoneType]
        )
    classes = [kind for kind in expected if is_class(kind)]
    if not is_class(returned) or not classes or len(classes) < len(expected):
        return []
    if issubclass(returned, tuple(classes)):
        return []
    names = " or ".join(kind.__name__ for kind in classes)
    text = f"{key}: {node['_target_']} returns a {returned.__name__}, expected a {names}."
    return [Problem(key, text, "wrong_type")]


def special_key_problems(node: dict[str, Any], key: str, spec: NodeSpec | None) -> list[Problem]:
    """Checks Hydra's special keys, which are not arguments."""
    problems = []

    def expect(name: str, expected: str) -> None:
        text = f"{key}.{name}={show(node[name])}: expected {expected}."
        problems.append(Problem(f"{key}.{name}", text, "wrong_type"))

    for name in ("_partial_", "_recursive_"):
        if not isinstance(node.get(name, False), bool):
            expect(name, "true or false")
    if node.get("_convert_", "all") not in CONVERSIONS:
        expect("_convert_", ", ".join(CONVERSIONS))
    if not isinstance(node.get("_args_", []), list | None):
        expect("_args_", "a list")
    if spec and spec.makes and bool(node.get("_partial_")) != spec.deferred:
        need = "is called later by runner: add" if spec.deferred else "is built at once: remove"
        text = f"{key} {need} _partial_: true."
        problems.append(Problem(f"{key}._partial_", text, "missing" if spec.deferred else "incompatible"))
    return problems


def check_arguments(
    constructor: Callable[..., Any],
    node: dict[str, Any],
    key: str,
    known: Iterable[str],
    spec: NodeSpec | None = None,
) -> list[Problem]:
    """Return the problems of the arguments that a node passes to its constructor."""
    parameters = parameters_of(constructor)
    if parameters is None:
        return []
    supplied = supplied_by_runner(spec)
    if supplied and node.get("_args_"):
        text = f"{key}._args_: runner passes positional arguments itself; give yours by name."
        return [Problem(f"{key}._args_", text, "reserved")]
    hints = annotations_of(constructor)
    arguments, problems = arguments_of(node, key, parameters)
    problems += name_problems(
        constructor.__name__, parameters, arguments, key, known, spec, node.get("_partial_")
    )
    named = named_parameters(parameters)
    for name, value in arguments.items():
        if name not in named:
            problems += check_value(Any, value, f"{key}.{name}", known) if takes_any(parameters) else []
        elif name not in supplied and not (value is None and named[name].default is None):
            problems += check_value(hints.get(name, Any), value, f"{key}.{name}", known)
    return problems
