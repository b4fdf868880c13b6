"""Checks the argument names of a node against the parameters of its constructor."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from runner.config.build import HYDRA_KEYS
from runner.config.introspect import NodeSpec
from runner.config.nearest import did_you_mean, nearest
from runner.config.signature import named_parameters

__all__ = ["arguments_of", "given_by_runner", "name_problems", "takes_any"]


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
