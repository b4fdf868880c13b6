"""Lists the valid keys of a config, from the constructors of its nodes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["print_schema"]

NOTHING = "-"


def print_schema(overrides: list[str], nodes: list[str], config_dirs: list[str], as_json: bool) -> None:
    """Print the keys of the composed config's nodes.

    Args:
        overrides: the overrides, optionally preceded by an experiment's file.
        nodes: only these (``model``, ``regularization.augment``); all if empty.
        config_dirs: additional folders with config groups.
        as_json: print JSON instead of tables.

    Raises:
        ConfigError: the config cannot be composed, or a node does not exist.
    """
    from runner.cli.arguments import split_experiment
    from runner.config.compose import compose
    from runner.config.plain import to_plain
    from runner.errors import ConfigError, Problem
    from runner.suggest import did_you_mean

    experiment, values = split_experiment(overrides)
    composition = compose(values, experiment, config_dirs)
    plain = to_plain(composition.config, composition.problems)
    if composition.problems:
        raise ConfigError(composition.problems)
    schema = dict(schema_of(plain, nodes))
    unknown = [name for name in nodes if name not in schema]
    if unknown:
        raise ConfigError(
            Problem(name, f"this config has no node {name!r}.", "unknown_key", did_you_mean(name, schema))
            for name in unknown
        )
    schema = {node: keys for node, keys in schema.items() if not nodes or node in nodes}
    if as_json:
        print(json.dumps(schema, indent=2))
        return
    from runner.cli.show import console, table

    out = console()
    for node, keys in schema.items():
        rows = [
            (f"{node}.{key['name']}".lstrip("."), *(value or NOTHING for value in cells(key))) for key in keys
        ]
        out.print(table("key", "type", "value", "default", "description", rows=rows))


def cells(key: dict[str, str | None]) -> list[str | None]:
    return [key["type"], key["value"], key["default"], first_sentence(key["doc"] or "")]


def first_sentence(text: str) -> str:
    return re.split(r"(?<=[.])\s", text, maxsplit=1)[0]


def schema_of(
    plain: dict[str, Any], requested: Sequence[str] = ()
) -> Iterator[tuple[str, list[dict[str, str | None]]]]:
    """Yield ``(dotted key, keys)`` for the config itself and for all its nodes.

    Args:
        plain: the config as plain containers.
        requested: nodes that are included even if they are null: ``folds``, ``sweep``.
    """
    import dataclasses

    from runner.config.allow_list import find_targets
    from runner.config.describe import describe
    from runner.config.introspect import annotations_of, members
    from runner.config.schema import Config

    values = [key for key in describe(Config) if not isinstance(plain.get(key.name), dict)]
    yield "", [with_value(key, plain) for key in values]
    for name, annotation in annotations_of(Config).items():
        for member in members(annotation):
            node = plain.get(name)
            is_node = isinstance(member, type) and dataclasses.is_dataclass(member)
            if is_node and (isinstance(node, dict) or name in requested):
                yield name, [with_value(key, node or {}) for key in describe(member, name)]
    for name, node in find_targets(plain):
        yield name, [with_value(key, node) for key in describe(node, name)]


def with_value(key: Any, node: dict[str, Any]) -> dict[str, str | None]:
    value = short(node[key.name]) if key.name in node else None
    return {"name": key.name, "type": key.type, "value": value, "default": key.default, "doc": key.doc}


def short(value: Any) -> str:
    if isinstance(value, dict) and "_target_" in value:
        return f"{value['_target_']}(…)"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
