"""The only place where a config becomes objects, behind an allow-list.

Every ``_target_`` of the whole tree is checked before the first one is called. Nodes are plain containers,
resolved before: Hydra's own ``instantiate`` would look for interpolations in their values once more, and so
build what no check has seen.
"""

from __future__ import annotations

import functools
import traceback
from typing import Any

from runner.config.allowed import ENVIRONMENT, is_module_of_user
from runner.config.target import find_targets, resolve_target
from runner.errors import ConfigError

__all__ = ["ENVIRONMENT", "HYDRA_KEYS", "build", "find_targets", "resolve_target"]

HYDRA_KEYS = frozenset({"_target_", "_partial_", "_args_", "_recursive_", "_convert_"})
"""Keys of a node that are no arguments. Whatever ``_convert_`` says, containers arrive as lists and dicts."""


def build(node: Any, /, **extra: Any) -> Any:
    """Constructs a node given as plain containers; ``None`` stays None.

    Args:
        node: a mapping with ``_target_``; nested ones are built first. With ``_partial_`` the result is a
            function that constructs later.
        extra: further keyword arguments of the outermost constructor.

    Raises:
        ConfigError: a target is refused, or a constructor refuses its arguments with a ValueError, TypeError or
            KeyError.
    """
    for _, inner in find_targets(node):
        resolve_target(inner["_target_"])
    return construct(node, extra)


def construct(node: Any, extra: dict[str, Any] | None = None) -> Any:
    if isinstance(node, list):
        return [construct(value) for value in node]
    if not isinstance(node, dict):
        return node
    if "_target_" not in node:
        return {key: construct(value) for key, value in node.items()}
    values = {key: value for key, value in node.items() if key not in HYDRA_KEYS}
    positional = list(node.get("_args_") or [])
    if node.get("_recursive_", True):
        values, positional = construct(values), construct(positional)
    constructor = resolve_target(node["_target_"])
    if node.get("_partial_"):
        return functools.partial(constructor, *positional, **values, **(extra or {}))
    try:
        return constructor(*positional, **values, **(extra or {}))
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{node['_target_']} refused its arguments: {error}{place_of(error)}") from error


def place_of(error: Exception) -> str:
    """The line that raised, when it is in the user's own code."""
    frames = [
        f for f in traceback.walk_tb(error.__traceback__) if is_module_of_user(f[0].f_globals["__name__"])
    ]
    if not frames:
        return ""
    frame, line = frames[-1]
    return f" ({frame.f_code.co_filename}, line {line})"
