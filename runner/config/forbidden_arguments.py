"""Arguments of libraries that read files or repositories which a config may not choose.

timm reads a checkpoint from ``checkpoint_path``, from a file or address in ``pretrained_cfg``, and from names
with a scheme such as ``hf-hub:`` or ``local-dir:``; segmentation-models-pytorch passes ``tu-`` names to timm.
Weights are loaded by ``weights=FILE`` and ``pretrained=true``, which only load tensors.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runner.errors import Problem

__all__ = ["forbidden_arguments"]

FORBIDDEN = {
    "timm": ("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"),
    "segmentation_models_pytorch": ("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay"),
}
"""Package → names of arguments, at any depth."""

SCHEME = re.compile(r"[\w.-]+:")
"""A scheme such as ``hf-hub:``, with or without the prefix ``tu-``."""


def forbidden_arguments(constructor: Callable[..., Any], node: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for each argument of a node that would read another file or repository.

    Args:
        constructor: the constructor of the node.
        node: the node, in plain containers.
    """
    names = {name for library in libraries_of(constructor) for name in FORBIDDEN.get(library, ())}
    if not names:
        return []
    problems = []
    for key, value in leaves({name: value for name, value in node.items() if name != "_target_"}):
        words = key.replace("[", ".").split(".")
        if value is not None and any(name in words for name in names):
            reason = "it would read another file"
        elif isinstance(value, str) and SCHEME.match(value):
            reason = "it has a scheme, so that another file or repository would be read"
        else:
            continue
        remedy = "Load weights with weights=FILE or pretrained=true."
        problems.append(Problem(key, f"{key}={value!r} is not allowed: {reason}.", "not_allowed", remedy))
    return problems


def libraries_of(constructor: Callable[..., Any]) -> set[str]:
    """Return the top-level packages of a constructor and, for a class, of all its base classes.

    A subclass, such as the segmentation models of runner, passes further arguments to the library's class.
    """
    classes = inspect.getmro(constructor) if inspect.isclass(constructor) else (constructor,)
    return {(item.__module__ or "").partition(".")[0] for item in classes}


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted key, value)`` for everything in nested containers; nodes with a target are separate."""
    if isinstance(value, dict) and "_target_" not in value:
        for name, item in value.items():
            yield from leaves(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{key}[{index}]")
    else:
        yield key, value
