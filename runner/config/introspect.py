"""Metadata of config nodes that describe an object: the required type, and the arguments that runner supplies."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from typing import Any

__all__ = ["NodeSpec", "part_of"]


@dataclass(frozen=True)
class NodeSpec:
    """Annotation of a node that refers to a constructor by ``_target_``.

    Attributes:
        makes: dotted name of the class that the constructor must return.
        supplied: parameters that runner supplies by name.
        first: parameters that runner supplies by position.
        deferred: whether runner calls the constructor later, so that the node has ``_partial_: true``.
    """

    makes: str = ""
    supplied: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    deferred: bool = False


def part_of(annotation: Any) -> NodeSpec | None:
    """Return the ``NodeSpec`` of an annotation, which may be a union with None."""
    metadata = getattr(annotation, "__metadata__", ())
    specs = [entry for entry in metadata if isinstance(entry, NodeSpec)]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        specs += [part for part in map(part_of, typing.get_args(annotation)) if part]
    return specs[0] if specs else None
