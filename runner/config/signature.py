"""Reads the parameters and annotations of constructors."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

__all__ = ["annotations_of", "members", "named_parameters", "parameters_of"]


def parameters_of(constructor: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    """Return the parameters by name, or None if the signature is not available."""
    try:
        own = dict(inspect.signature(constructor).parameters)
    except (TypeError, ValueError):
        return None
    method = configuring_method(constructor)
    extra = dict(inspect.signature(method).parameters) if method else {}
    return own | {name: parameter for name, parameter in extra.items() if name not in own and name != "self"}


def configuring_method(constructor: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return the method whose arguments a node may give besides the constructor's; runner calls it after construction."""
    return getattr(constructor, "configured_by", None) if inspect.isclass(constructor) else None


def named_parameters(parameters: dict[str, inspect.Parameter]) -> dict[str, inspect.Parameter]:
    """Return the parameters that can be passed by name."""
    return {n: p for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def annotations_of(constructor: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotation of each parameter, including bounds. Those that cannot be evaluated are omitted."""
    function = constructor
    if inspect.isclass(constructor) and not dataclasses.is_dataclass(constructor):
        function = constructor.__init__
    method = configuring_method(constructor)
    extra = typing.get_type_hints(method, include_extras=True) if method else {}
    return {name: hint for name, hint in extra.items() if name != "return"} | hints_of(
        inspect.unwrap(function)
    )


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (
        Exception
    ):  # a name imported only for type checkers, or an expression that this Python cannot evaluate
        return dict(readable_annotations(function))


def readable_annotations(function: Any) -> typing.Iterator[tuple[str, Any]]:
    for name, annotation in getattr(function, "__annotations__", {}).items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            yield from typing.get_type_hints(
                alone, vars(inspect.getmodule(function)), include_extras=True
            ).items()
        except Exception:
            continue


def members(annotation: Any) -> list[Any]:
    """Return the members of a union, after unwrapping ``Annotated``."""
    if typing.get_origin(annotation) is typing.Annotated:
        return members(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [m for argument in typing.get_args(annotation) for m in members(argument)]
    return [annotation]
