"""Arguments against a signature: unknown and missing names, wrong types, values out of range."""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Callable
from typing import Any

from runner.config.facts import is_placeholder
from runner.config.nearest import did_you_mean, nearest
from runner.config.plain import MISSING

__all__ = ["check_arguments", "check_value"]

HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}


def parameters_of(constructor: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    try:
        parameters = dict(inspect.signature(constructor).parameters)
    except (TypeError, ValueError):
        return None
    parameters.pop("self", None)
    return parameters


def annotations_of(constructor: Callable[..., Any]) -> dict[str, Any]:
    function = constructor
    if inspect.isclass(constructor) and not dataclasses.is_dataclass(constructor):
        function = constructor.__init__
    try:
        return typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    except Exception:  # names only known to type checkers, C functions: types stay unchecked
        return {}


def check_arguments(
    constructor: Callable[..., Any],
    node: dict[str, Any],
    path: str,
    supplied: set[str] = frozenset(),
    everywhere: list[str] = (),
) -> list[str]:
    """Mistakes in the arguments a node gives to its constructor.

    Args:
        constructor: a class, a function or a dataclass.
        node: plain containers.
        path: the node's dotted place, for messages.
        supplied: parameters that the program itself gives.
        everywhere: dotted keys of the whole config, to find a key that belongs elsewhere.
    """
    parameters = parameters_of(constructor)
    if parameters is None:
        return []
    problems = []
    named = {n: p for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    hints = annotations_of(constructor)
    label = getattr(constructor, "__name__", str(constructor))
    for key, value in node.items():
        place = f"{path}.{key}" if path else key
        if key in HYDRA_KEYS:
            continue
        if key in supplied:
            problems.append(f"{place}: {label} gets {key!r} from runner itself; remove it.")
        elif key in named:
            problems += check_value(hints.get(key, Any), value, place)
        elif not takes_any:
            valid = [name for name in named if name not in supplied]
            of = f"{label} takes no {key!r}" if path else f"there is no {key!r}"
            problems.append(f"{place}: {of}. {hint(key, place, valid, everywhere)}")
    if not node.get("_partial_") and "_args_" not in node:
        for name, parameter in named.items():
            if parameter.default is parameter.empty and name not in node and name not in supplied:
                place = f"{path}.{name}" if path else name
                problems.append(f"{place}: {label} needs {name!r} and nothing gives it. Add {place}=VALUE.")
    return problems


def hint(key: str, place: str, valid: list[str], everywhere: list[str]) -> str:
    """A like name here, or else the same name elsewhere in the config."""
    if not nearest(key, valid):
        found = [other for other in everywhere if other.rpartition(".")[2] == key and other != place]
        if found:
            return f"Did you mean {' or '.join(repr(other) for other in found[:3])}?"
    return did_you_mean(key, valid)


def members(annotation: Any) -> list[Any]:
    """The members of a union, Annotated looked through."""
    if typing.get_origin(annotation) is typing.Annotated:
        return members(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [m for arg in typing.get_args(annotation) for m in members(arg)]
    return [annotation]


def holds_unknown(value: Any) -> bool:
    """Whether a value has a fact, or an object still to be built, somewhere inside."""
    if isinstance(value, dict):
        return "_target_" in value or any(holds_unknown(v) for v in value.values())
    if isinstance(value, list):
        return any(holds_unknown(v) for v in value)
    return is_placeholder(value)


def check_value(annotation: Any, value: Any, place: str) -> list[str]:
    """Mistakes of one value against an annotation; bounds of ``annotated_types`` count."""
    if value == MISSING and isinstance(value, str):
        return [f"{place}: a value must be given. Add {place}=VALUE."]
    if isinstance(value, dict) and "_target_" not in value:
        for member in members(annotation):
            if dataclasses.is_dataclass(member):
                return check_arguments(member, value, place)
    if holds_unknown(value) or annotation in (Any, inspect.Parameter.empty):
        return []
    from pydantic import ConfigDict, TypeAdapter, ValidationError
    from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

    try:
        adapter = TypeAdapter(annotation, config=ConfigDict(strict=True, arbitrary_types_allowed=True))
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            return []
        adapter = TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, TypeError, NameError):
        return []
    try:
        adapter.validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        return [f"{place}={show(value)}: {reasons(error)}."]
    except Exception:  # a foreign type whose schema cannot judge JSON: the constructor will
        return []
    return []


def reasons(error: Any) -> str:
    parts = []
    for item in error.errors(include_url=False):
        if item["type"] == "missing" or "isinstance" in item["msg"]:
            continue
        parts.append(item["msg"].replace("Input should be ", "").replace("Input should have", "have"))
    return "expected " + " or ".join(dict.fromkeys(parts))


def show(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
