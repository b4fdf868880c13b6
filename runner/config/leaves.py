"""The values of a nested config with their dotted keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["leaves"]


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted key, value)`` for every value in plain containers that is not a dictionary or a list;
    the entries of a list have keys like ``data.columns[0]``.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from leaves(inner, f"{key}[{position}]")
    else:
        yield key, value
