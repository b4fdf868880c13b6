"""Builds objects from config nodes, restricted by an allow-list. No other module does so.

Every ``_target_`` in the tree is checked before the first constructor is called. Nodes are plain containers
that are already resolved: ``instantiate`` of Hydra 1.3 would resolve interpolations in their values again,
and could therefore build objects that were never checked.
"""

from __future__ import annotations

import functools
import traceback
from typing import Any

from runner.config.allow_list import ENVIRONMENT, find_targets, is_module_of_user, resolve_target
from runner.config.forbidden_arguments import forbidden_arguments
from runner.errors import ConfigError, Problem

__all__ = ["ENVIRONMENT", "HYDRA_KEYS", "build", "find_targets", "resolve_target"]

HYDRA_KEYS = frozenset({"_target_", "_partial_", "_args_", "_recursive_", "_convert_"})
"""Keys of a node that are not arguments.

``_convert_`` is ignored: containers are always passed as lists and dicts.
"""


def build(node: Any, /, **extra: Any) -> Any:
    """Builds the object that a node of plain containers describes; None is returned unchanged.

    Args:
        node: a mapping with ``_target_``; nested nodes are built first. With ``_partial_`` the result is a
            ``functools.partial`` of the constructor.
        extra: further keyword arguments for the outermost constructor.

    Raises:
        ConfigError: a target is not allowed, or a constructor raised a ValueError, TypeError or KeyError.
    """
    for key, inner in find_targets(node):
        problems = forbidden_arguments(resolve_target(inner["_target_"]), inner)
        if problems:
            raise ConfigError([problem.within(key) if key else problem for problem in problems])
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
        text = f"{node['_target_']} rejected its arguments: {error}{location_of(error)}"
        raise ConfigError(Problem("", text, "rejected")) from error


def location_of(error: Exception) -> str:
    """Return the file and line that raised, if they belong to the user's own code."""
    frames = [
        f for f in traceback.walk_tb(error.__traceback__) if is_module_of_user(f[0].f_globals["__name__"])
    ]
    if not frames:
        return ""
    frame, line = frames[-1]
    return f" ({frame.f_code.co_filename}, line {line})"
