"""A node of a config that stands for an object: what its constructor must make, and what runner itself gives it."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from typing import Any

__all__ = ["NodeSpec", "part_of"]


@dataclass(frozen=True)
class NodeSpec:
    """Marks a node that names a constructor by ``_target_``.

    Attributes:
        makes: dotted name of what must come out of it.
        supplied: parameters that runner itself gives, by name.
        first: parameters that runner itself gives, by position.
        deferred: runner calls the constructor later: the node has ``_partial_: true``.
    """

    makes: str = ""
    supplied: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    deferred: bool = False


def part_of(annotation: Any) -> NodeSpec | None:
    """What the schema says about a node; it may stand in a union with None."""
    metadata = getattr(annotation, "__metadata__", ())
    found = [entry for entry in metadata if isinstance(entry, NodeSpec)]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        found += [part for part in map(part_of, typing.get_args(annotation)) if part]
    return found[0] if found else None
