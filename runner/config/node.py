"""A node of a config against the signature of what it names: names, values, and nodes inside it."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

from runner.config.build import HYDRA_KEYS
from runner.config.groups import GROUPS
from runner.config.nearest import did_you_mean, nearest
from runner.config.plain import MISSING
from runner.config.schema import Part, part_of
from runner.config.signature import annotations_of, members, named_parameters, parameters_of
from runner.config.target import locate, resolve_target
from runner.config.values import holds_unknown, show, type_problems
from runner.errors import ConfigError

__all__ = ["check_names", "check_value"]

CONVERSIONS = ("all", "partial", "object")


def check_value(annotation: Any, value: Any, place: str, known: Iterable[str] = ()) -> list[str]:
    """Mistakes of a value, and of every node inside it.

    Args:
        annotation: of the parameter it is for.
        value: plain containers.
        place: its dotted place, for messages.
        known: dotted keys of the whole config, to find a key that belongs elsewhere.
    """
    if isinstance(value, str) and value == MISSING:
        return [f"{place}: a value must be given. Add {place}=VALUE."]
    part = part_of(annotation)
    if isinstance(value, dict) and "_target_" in value:
        return check_node(value, place, known, part, annotation)
    if part and not (value is None and types.NoneType in members(annotation)):
        choose = f"Choose an option with {place}=NAME." if place in GROUPS else f"Give {place}._target_."
        return [f"{place}={show(value)} names no constructor: it has no _target_. {choose}"]
    if isinstance(value, dict) and wants_object(annotation):
        return [f"{place}={show(value)} names no constructor: it has no _target_."]
    inner = [
        problem for item in inner_values(annotation, value, place) for problem in check_value(*item, known)
    ]
    for member in members(annotation):
        if dataclasses.is_dataclass(member) and isinstance(value, dict):
            return check_arguments(member, value, place, known)
    return inner or type_problems(annotation, value, place)


def wants_object(annotation: Any) -> bool:
    """Whether only an object will do, and no plain container."""
    kinds = [m for m in members(annotation) if m is not types.NoneType]
    plain = (str, int, float, bool, list, tuple, dict, set, object)
    return bool(kinds) and all(
        typing.get_origin(kind) is Callable
        or (inspect.isclass(kind) and kind not in plain and not dataclasses.is_dataclass(kind))
        for kind in kinds
    )


def inner_values(annotation: Any, value: Any, place: str) -> Iterable[tuple[Any, Any, str]]:
    """Annotation, value and place of what a container holds: only nodes, unless the annotation says more."""
    if isinstance(value, dict):
        found = [m for m in members(annotation) if typing.get_origin(m) is dict]
        inner = typing.get_args(found[0])[1] if found else Any
        return [
            (inner, item, f"{place}.{key}") for key, item in value.items() if found or holds_unknown(item)
        ]
    if isinstance(value, list):
        return [(Any, item, f"{place}[{i}]") for i, item in enumerate(value) if holds_unknown(item)]
    return []


def check_node(
    node: dict[str, Any], place: str, known: Iterable[str], part: Part | None, annotation: Any
) -> list[str]:
    """Mistakes of a node with a constructor."""
    try:
        constructor = resolve_target(node["_target_"])
    except ConfigError as error:
        return [f"{place}: {problem}" for problem in error.problems]
    problems = kind_problems(constructor, node, place, part, annotation)
    if problems:
        return problems
    return key_problems(node, place, part) + check_arguments(constructor, node, place, known, part)


def kind_problems(
    constructor: Callable[..., Any], node: dict[str, Any], place: str, part: Part | None, annotation: Any
) -> list[str]:
    """Whether what comes out of a constructor is what the place needs."""
    made = constructor if inspect.isclass(constructor) else annotations_of(constructor).get("return")
    if part:
        wanted = [locate(part.makes)] if part.makes else []
    else:
        wanted = [] if node.get("_partial_") else [m for m in members(annotation) if m is not types.NoneType]
    if not wanted or not inspect.isclass(made) or not all(inspect.isclass(kind) for kind in wanted):
        return []
    if issubclass(made, tuple(wanted)):
        return []
    names = " or ".join(kind.__name__ for kind in wanted)
    return [f"{place}: {node['_target_']} gives a {made.__name__}, expected a {names}."]


def key_problems(node: dict[str, Any], place: str, part: Part | None) -> list[str]:
    """The keys that are Hydra's and no arguments."""
    problems = []
    for key in ("_partial_", "_recursive_"):
        if not isinstance(node.get(key, False), bool):
            problems.append(f"{place}.{key}={show(node[key])}: expected true or false.")
    if node.get("_convert_", "all") not in CONVERSIONS:
        problems.append(f"{place}._convert_={show(node['_convert_'])}: expected {', '.join(CONVERSIONS)}.")
    if not isinstance(node.get("_args_", []), list | None):
        problems.append(f"{place}._args_={show(node['_args_'])}: expected a list.")
    if part and part.makes and bool(node.get("_partial_")) != part.deferred:
        need = "is called later by runner: it needs" if part.deferred else "is built at once: take away"
        problems.append(f"{place} {need} _partial_: true.")
    return problems


def check_arguments(
    constructor: Callable[..., Any],
    node: dict[str, Any],
    place: str,
    known: Iterable[str],
    part: Part | None = None,
) -> list[str]:
    """Mistakes in the arguments a node gives to its constructor."""
    parameters = parameters_of(constructor)
    if parameters is None:
        return []
    hints = annotations_of(constructor)
    arguments, problems = arguments_of(node, place, parameters, part)
    problems += check_names(
        constructor.__name__, parameters, arguments, place, known, part, node.get("_partial_")
    )
    for key, value in arguments.items():
        parameter = named_parameters(parameters).get(key)
        annotation = hints.get(key, Any) if parameter else Any
        if parameter and value is None and parameter.default is None:
            continue
        problems += check_value(annotation, value, f"{place}.{key}", known)
    return problems


def arguments_of(
    node: dict[str, Any], place: str, parameters: dict[str, inspect.Parameter], part: Part | None
) -> tuple[dict[str, Any], list[str]]:
    """Arguments by name, those of ``_args_`` too."""
    arguments = {key: value for key, value in node.items() if key not in HYDRA_KEYS}
    positional = node.get("_args_") or []
    if not positional or not isinstance(positional, list):
        return arguments, []
    if part and part.makes:
        return arguments, [f"{place}._args_: runner gives arguments too; write yours by their names."]
    names = [
        name for name, parameter in parameters.items() if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    takes_more = any(p.kind in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY) for p in parameters.values())
    problems = [
        f"{place}.{name}: given twice, by name and in _args_."
        for name in names[: len(positional)]
        if name in arguments
    ]
    if len(positional) > len(names) and not takes_more:
        problems.append(f"{place}._args_ holds {len(positional)} arguments, expected at most {len(names)}.")
    return dict(zip(names, positional, strict=False)) | arguments, problems


def check_names(
    label: str,
    parameters: dict[str, inspect.Parameter],
    arguments: dict[str, Any],
    place: str,
    known: Iterable[str] = (),
    part: Part | None = None,
    partial: bool | None = False,
) -> list[str]:
    """Names that the constructor does not take, those it misses, and those that are runner's to give."""
    part = part or Part()
    named = named_parameters(parameters)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    supplied = {*part.supplied, *part.first}
    problems = []
    for key in arguments:
        if key in supplied:
            problems.append(f"{place}.{key}: {label} gets {key!r} from runner itself; take it away.")
        elif key not in named and not takes_any:
            valid = [name for name in named if name not in supplied]
            problems.append(f"{place}.{key}: {label} takes no {key!r}. {hint(str(key), place, valid, known)}")
    for name in part.supplied:
        if name not in named and not takes_any:
            problems.append(f"{place}: runner calls {label} with {name!r}, which it does not take.")
    for name, parameter in named.items():
        needed = parameter.default is parameter.empty and name not in arguments and name not in supplied
        if needed and not (partial and not part.makes):
            problems.append(
                f"{place}: {label} needs {name!r}, and nothing gives it. Add {place}.{name}=VALUE."
            )
    return problems


def hint(key: str, place: str, valid: list[str], known: Iterable[str]) -> str:
    """A like name here, or else the same name elsewhere in the config."""
    valid = [*valid, *(HYDRA_KEYS if key.startswith("_") else ())]
    if not nearest(key, valid):
        found = [other for other in known if other.rpartition(".")[2] == key and other != f"{place}.{key}"]
        if found:
            return f"Did you mean {' or '.join(repr(other) for other in found[:3])}?"
    return did_you_mean(key, valid)
