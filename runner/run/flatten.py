"""Nested containers as dotted keys and their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

__all__ = ["flatten"]


def flatten(
    node: Any, key: str = "", *, lists: Literal["values", "items", "nested"] = "values"
) -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted key, value)`` for every value in nested containers. An empty mapping is a value.

    Example:
        >>> dict(flatten({"model": {"sizes": [64, 32]}, "seed": 0}))
        {'model.sizes': [64, 32], 'seed': 0}
        >>> dict(flatten({"model": {"sizes": [64, 32]}}, lists="items"))
        {'model.sizes[0]': 64, 'model.sizes[1]': 32}

    Args:
        node: the containers.
        key: dotted key of ``node`` itself; empty for the outermost one.
        lists: ``values`` yields each list as a whole; ``items`` yields the items under keys such as
            ``sizes[0]``; ``nested`` yields the items of lists that hold containers, under keys such as
            ``folds.0.mse``, and other lists as a whole.
    """
    if isinstance(node, Mapping) and (node or not key):
        for name, value in node.items():
            yield from flatten(value, f"{key}.{name}" if key else str(name), lists=lists)
    elif isinstance(node, list) and lists == "items":
        for position, value in enumerate(node):
            yield from flatten(value, f"{key}[{position}]", lists=lists)
    elif isinstance(node, list) and lists == "nested" and any(isinstance(v, Mapping | list) for v in node):
        for position, value in enumerate(node):
            yield from flatten(value, f"{key}.{position}", lists=lists)
    else:
        yield key, node
