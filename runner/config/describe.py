"""Describes the keys that a config node accepts, with their types, defaults and documentation."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

from runner.config.allow_list import resolve_target
from runner.config.checks.arguments import supplied_by_runner
from runner.config.checks.trainer import RESERVED
from runner.config.experiment import load_config
from runner.config.groups import Option
from runner.config.introspect import (
    NodeSpec,
    annotations_of,
    members,
    named_parameters,
    node_spec,
    parameter_docs,
    parameters_of,
)
from runner.config.plain import to_plain
from runner.config.schema import Config

__all__ = ["Key", "describe", "type_text"]

SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of a node.

    Attributes:
        type: in readable form, with its bounds: ``float, >= 0, <= 1``.
        default: in YAML syntax; None if a value is required.
        doc: text from the constructor's docstring.
    """

    name: str
    type: str
    default: str | None
    doc: str = ""


def describe(subject: Option | dict[str, Any] | Callable[..., Any], key: str = "") -> list[Key]:
    """Return the keys accepted by an option of a group, a node with ``_target_``, or a constructor.

    Args:
        subject: the option, node or constructor.
        key: the top-level key of the node; arguments that runner supplies there are omitted.

    Raises:
        ConfigError: the node's target is not allowed or does not exist.
    """
    constructor = described_constructor(subject)
    if constructor is None:
        return []
    supplied = supplied_arguments(subject.group if isinstance(subject, Option) else key)
    hints, docs = annotations_of(constructor), parameter_docs(constructor)
    return [
        Key(name, type_text(hints.get(name, Any)), default_text(constructor, parameter), docs.get(name, ""))
        for name, parameter in named_parameters(parameters_of(constructor) or {}).items()
        if name not in supplied
    ]


def supplied_arguments(key: str) -> set[str]:
    """Return the names of the arguments that runner supplies to the constructor of a top-level node."""
    if key == "trainer":
        return set(RESERVED)
    return supplied_by_runner(node_spec(annotations_of(Config).get(key, Any)))


def described_constructor(
    subject: Option | dict[str, Any] | Callable[..., Any],
) -> Callable[..., Any] | None:
    """Return the constructor or, for an option without ``_target_``, the dataclass of the schema."""
    if isinstance(subject, Option):
        annotation = annotations_of(Config).get(subject.group, Any)
        schema = [m for m in members(annotation) if isinstance(m, type) and dataclasses.is_dataclass(m)]
        node = to_plain(load_config(subject.path), [])
        return resolve_target(node["_target_"]) if "_target_" in node else next(iter(schema), None)
    return resolve_target(subject.get("_target_")) if isinstance(subject, dict) else subject


def default_text(constructor: Callable[..., Any], parameter: inspect.Parameter) -> str | None:
    default = parameter.default
    if dataclasses.is_dataclass(constructor):
        field = {field.name: field for field in dataclasses.fields(constructor)}[parameter.name]
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
    if default is parameter.empty:
        return None
    if inspect.isclass(default) or inspect.isfunction(default):
        return default.__name__
    words = {None: "null", True: "true", False: "false"}
    text = words[default] if default is None or isinstance(default, bool) else str(default)
    return str(list(default)) if isinstance(default, tuple) else text


def type_text(annotation: Any) -> str:
    """Format an annotation in readable form: ``list[int] | null``, ``relu | gelu``, ``float, >= 0``."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any or annotation is inspect.Parameter.empty:
        return "any"
    if origin is typing.Annotated:
        if any(isinstance(entry, NodeSpec) for entry in arguments[1:]):
            return "node with _target_"
        return ", ".join(
            [type_text(arguments[0]), *(bound for entry in arguments[1:] for bound in bounds(entry))]
        )
    if origin in (typing.Union, types.UnionType):
        return " | ".join(type_text(argument) for argument in arguments)
    if origin is typing.Literal:
        return " | ".join(dict.fromkeys(str(argument) for argument in arguments))
    if annotation is types.NoneType:
        return "null"
    if isinstance(annotation, list):
        return f"[{', '.join(map(type_text, annotation))}]"
    name = getattr(origin or annotation, "__name__", str(annotation))
    if name == "Callable":
        return "callable"
    inner = ["…" if argument is Ellipsis else type_text(argument) for argument in arguments]
    return f"{name}[{', '.join(inner)}]" if inner else name


def bounds(constraint: Any) -> list[str]:
    texts = [
        f"{sign} {getattr(constraint, name)}" for name, sign in SIGNS.items() if hasattr(constraint, name)
    ]
    if hasattr(constraint, "min_length") and constraint.min_length:
        texts.append(f"at least {constraint.min_length}")
    return texts
