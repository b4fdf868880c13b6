"""Reading of the small files of runs and sweeps, which may be damaged or come from others.

Each file has a schema, and limits of its size and depth. `DamagedFileError` reports in one sentence a file
that violates them, before its values are used.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from runner.errors import DamagedFileError

__all__ = ["MAX_YAML_BYTES", "parse_json", "parse_yaml", "read_text"]

MAX_BYTES = 256 * 2**20
"""Maximum size of a JSON file; ``folds.json`` and ``facts.json`` list samples."""
MAX_YAML_BYTES = 8 * 2**20
MAX_DEPTH = 100
MAX_YAML_NODES = 1_000_000
"""Maximum number of YAML nodes after aliases are replaced by what they refer to."""

NUMBER = (int, float)
DIGITS_AND_INFINITIES = (int, float, str)  # JSON has no NaN and no infinity
SCHEMAS: dict[str, dict[str, tuple[type, ...]]] = {
    "status.json": {
        "state": (str,),
        "attempt": (int,),
        "pid": (int,),
        "pid_started_at": NUMBER,
        "host": (str,),
        "started_at": NUMBER,
        "ended_at": NUMBER,
        "reason": (str,),
        "step": (int,),
        "epoch": (int,),
        "seconds": NUMBER,
        "format_version": (int,),
        "trials": (dict,),
        "total": (int,),
        "best": (int,),
        "front": (list,),
    },
    "results.json": {
        "best": (dict,),
        "best.checkpoint": (str,),
        "best.monitor": (str,),
        "best.value": DIGITS_AND_INFINITIES,
        "val": (dict,),
        "val.*": DIGITS_AND_INFINITIES,
        "test": (dict,),
        "test.*": DIGITS_AND_INFINITIES,
        "std": (dict,),
        "std.*": (dict,),
        "step": (int,),
        "epoch": (int,),
        "seconds": NUMBER,
        "stopped": (str,),
    },
    "provenance.json": {
        "command": (list,),
        "working_directory": (str,),
        "paths_from": (str,),
        "created_at": (str,),
        "git": (dict,),
        "packages": (dict,),
        "hardware": (dict,),
        "choices": (dict,),
        "choices.*": (str,),
        "changed": (list,),
        "fingerprint": (str,),
        "format_version": (int,),
        "worker": (dict,),
    },
    "facts.json": {
        "task": (str,),
        "name": (str,),
        "class_names": (list,),
        "class_counts": (list,),
        "dropped": (list,),
        "digest": (str,),
    },
    "tracking.json": {"run_id": (str,), "uri": (str,)},
    "config.yaml": {
        name: (dict,) for name in ("data", "launcher", "model", "optimizer", "run", "task", "trainer")
    },
    "sweep.yaml": {
        "settings": (dict,),
        "space": (dict,),
        "objectives": (dict,),
        "overrides": (list,),
        "config_dirs": (list,),
        "working_directory": (str,),
    },
}
"""Types of the values of a file by dotted key; null is valid everywhere, and further keys are too.

``KEY.*`` stands for all values of a mapping.
"""
LISTS = ("index.json", "roll_backs.json")
"""Files that hold a list of mappings; those in `SCHEMAS` hold a mapping, and the others either."""


def read_text(path: str | Path, max_bytes: int = MAX_BYTES) -> str:
    """Return the text of a file.

    Raises:
        DamagedFileError: it cannot be read, is larger than ``max_bytes``, or is no UTF-8.
        FileNotFoundError: it does not exist.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise damaged(path, f"it has more than {max_bytes // 2**20} MiB")
        return content.decode("utf-8")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise damaged(path, f"byte {error.start} is not valid UTF-8") from error


def parse_json(path: str | Path) -> Any:
    """Return the value of a JSON file.

    Raises:
        DamagedFileError: the file is no JSON, violates its schema, or is larger or deeper than permitted.
        FileNotFoundError: the file does not exist.
    """
    path, text = Path(path), read_text(path)
    try:
        pairs = partial(unique, path)
        value = json.loads(text, object_pairs_hook=pairs)
    except RecursionError as error:
        raise damaged(path, f"it is nested deeper than {MAX_DEPTH} levels") from error
    except json.JSONDecodeError as error:
        reason = "it is empty" if not text.strip() else f"{error.msg} in line {error.lineno}"
        raise damaged(path, reason) from error
    except ValueError as error:  # an integer of more than 4300 digits
        raise error if isinstance(error, DamagedFileError) else damaged(path, str(error)) from error
    check_depth(path, value)
    check_schema(path, value)
    return value


def parse_yaml(path: str | Path, text: str | None = None) -> Any:
    """Return the plain containers of a YAML file.

    Args:
        path: the file.
        text: its content, if it was read before.

    Raises:
        DamagedFileError: the file is no YAML, violates its schema, or is larger or deeper than permitted.
        FileNotFoundError: the file does not exist.
    """
    import yaml

    path = Path(path)
    text = read_text(path, MAX_YAML_BYTES) if text is None else text
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        check_events(path, yaml.parse(text, Loader=loader))
        value = yaml.load(text, Loader=loader)
    except DamagedFileError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        reason = str(getattr(error, "problem", None) or "it is not valid YAML")
        raise damaged(path, reason + (f" in line {mark.line + 1}" if mark else "")) from error
    check_schema(path, value)
    return value


def damaged(path: Path, reason: str) -> DamagedFileError:
    return DamagedFileError(f"{path} is damaged: {reason}. Restore it from a copy.")


def unique(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        raise damaged(path, f"the key {next(key for key in keys if keys.count(key) > 1)!r} is duplicated")
    return value


def check_depth(path: Path, value: Any) -> None:
    level, depth = [value], 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise damaged(path, f"it is nested deeper than {MAX_DEPTH} levels")
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]


def check_events(path: Path, events: Any) -> None:
    """Reject YAML that is nested too deeply or whose aliases expand to too many values.

    Composing it could exhaust the stack or the memory: the parser is iterative, while the composer calls
    itself for each level.
    """
    import yaml

    sizes: dict[str, int] = {}
    stack: list[tuple[str | None, int]] = []
    num_nodes = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append((event.anchor, num_nodes))
            num_nodes += 1
            if len(stack) > MAX_DEPTH:
                raise damaged(path, f"it is nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = stack.pop()
            if anchor is not None:
                sizes[anchor] = num_nodes - before
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes and any(anchor == event.anchor for anchor, _ in stack):
                raise damaged(path, f"the alias *{event.anchor} is part of itself")
            num_nodes += sizes.get(event.anchor or "", 1)
        else:
            num_nodes += 1
        if num_nodes > MAX_YAML_NODES:
            raise damaged(path, f"its aliases expand to more than {MAX_YAML_NODES} values")


def check_schema(path: Path, value: Any) -> None:
    """Reject values of unexpected types.

    Raises:
        DamagedFileError: the file's schema does not permit a value.
    """
    if path.name in LISTS:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise damaged(path, "expected a list of mappings")
        return
    schema = SCHEMAS.get(path.name)
    if schema is None:
        return
    if not isinstance(value, dict):
        raise damaged(path, f"expected a mapping, got {kind_of(value)}")
    for key, types in schema.items():
        for name, item in values_at(value, key):
            if item is not None and (not isinstance(item, types) or (item is True or item is False)):
                wanted = " or ".join(KINDS[kind] for kind in types)
                raise damaged(path, f"{name} is {kind_of(item)}, expected {wanted}")


KINDS: dict[type, str] = {
    str: "a text",
    int: "an integer",
    float: "a number",
    list: "a list",
    dict: "a mapping",
    bool: "a Boolean",
}


def kind_of(value: Any) -> str:
    return KINDS.get(type(value), "null")


def values_at(value: dict[str, Any], key: str) -> list[tuple[str, Any]]:
    name, _, rest = key.partition(".")
    inner = value.get(name)
    if not rest:
        return [(name, inner)]
    if not isinstance(inner, dict):
        return []
    names = inner if rest == "*" else [rest]
    return [(f"{name}.{part}", inner.get(part)) for part in names]
