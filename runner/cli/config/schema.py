"""Every key that could stand in a config: the parameters of each node's constructor."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

__all__ = ["print_schema"]

NOTHING = "-"


def print_schema(overrides: list[str], nodes: list[str], config_dirs: list[str], as_json: bool) -> None:
    """Prints the keys of the composed config's nodes.

    Args:
        nodes: only these (``model``, ``regularization.augment``); all when empty.

    Raises:
        ConfigError: nothing can be composed, or there is no such node.
    """
    from runner.cli.arguments import split_experiment
    from runner.config.compose import compose
    from runner.config.nearest import did_you_mean
    from runner.config.plain import to_plain
    from runner.errors import ConfigError

    experiment, values = split_experiment(overrides)
    composition = compose(values, experiment, config_dirs)
    plain = to_plain(composition.config, composition.problems)
    if composition.problems:
        raise ConfigError(composition.problems)
    schema = {place: keys for place, keys in _schema(plain) if not nodes or place in nodes}
    places = [place for place, _ in _schema(plain)]
    unknown = [name for name in nodes if name not in places]
    if unknown:
        raise ConfigError(
            [f"there is no node {name!r} in this config. {did_you_mean(name, places)}" for name in unknown]
        )
    if as_json:
        print(json.dumps(schema, indent=2, default=str))
        return
    from runner.cli.show import console, table

    out = console()
    for place, keys in schema.items():
        rows = [
            (f"{place}.{key['name']}".lstrip("."), key["type"], key["value"], key["default"]) for key in keys
        ]
        out.print(table("key", "type", "value", "default", rows=rows))


def _schema(plain: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """``(dotted place, keys)`` of the whole config, of its plain nodes and of those with a constructor."""
    import dataclasses

    from runner.config.build import find_targets, resolve_target
    from runner.config.schema import Config
    from runner.config.signature import annotations_of, members

    hints = annotations_of(Config)
    yield (
        "",
        [
            key
            for key in _keys(Config, plain)
            if key["name"] not in plain or not isinstance(plain[key["name"]], dict)
        ],
    )
    for name, annotation in hints.items():
        for member in members(annotation):
            if dataclasses.is_dataclass(member) and isinstance(plain.get(name), dict):
                yield name, list(_keys(member, plain[name]))
    for place, node in find_targets(plain):
        yield place, list(_keys(resolve_target(node["_target_"]), node))


def _keys(constructor: Any, node: dict[str, Any]) -> Iterator[dict[str, str]]:
    from runner.config.signature import annotations_of, parameters_of

    hints = annotations_of(constructor)
    for name, parameter in (parameters_of(constructor) or {}).items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        yield {
            "name": name,
            "type": _spell(hints.get(name, parameter.annotation)),
            "value": _show(node[name]) if name in node else NOTHING,
            "default": NOTHING if parameter.default is parameter.empty else _show(parameter.default),
        }


def _show(value: Any) -> str:
    if isinstance(value, dict) and "_target_" in value:
        return f"{value['_target_']}(…)"
    text = "null" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _spell(annotation: Any) -> str:
    """An annotation as a person writes it, with its bounds: ``float, >= 0``."""
    import types
    import typing

    if annotation in (inspect.Parameter.empty, Any):
        return "any"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        bounds = [bound for bound in map(_bound, arguments[1:]) if bound]
        return ", ".join([_spell(arguments[0]), *bounds])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_spell(argument) for argument in arguments)
    if origin is typing.Literal:
        return " | ".join(str(argument) for argument in arguments)
    if annotation is type(None):
        return "null"
    if origin is not None and arguments:
        inner = ", ".join("…" if argument is Ellipsis else _spell(argument) for argument in arguments)
        return f"{getattr(origin, '__name__', origin)}[{inner}]"
    return getattr(annotation, "__name__", str(annotation))


def _bound(constraint: Any) -> str:
    for sign, attribute in ((">", "gt"), (">=", "ge"), ("<", "lt"), ("<=", "le")):
        if hasattr(constraint, attribute):
            return f"{sign} {getattr(constraint, attribute)}"
    return ""
