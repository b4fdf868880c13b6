"""The input of a check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runner.config.composition import Composition
from runner.errors import Problem

__all__ = ["CheckContext"]


@dataclass(frozen=True)
class CheckContext:
    """A composed config and the results of the checks of its single nodes.

    Attributes:
        composition: the config and how it was composed.
        plain: the config as plain containers.
        in_nodes: problems of the single nodes.
        unreliable: dotted keys whose values are not what the user wants: their overrides could not be parsed,
            or they copy an invalid value from another key.
    """

    composition: Composition
    plain: dict[str, Any]
    in_nodes: Sequence[Problem] = ()
    unreliable: frozenset[str] = frozenset()

    def node(self, name: str) -> dict[str, Any]:
        """Return a node of the config; an empty one if it is absent or not a mapping."""
        node = self.plain.get(name)
        return node if isinstance(node, dict) else {}

    def is_explicit(self, key: str) -> bool:
        """Return whether the user set the key or one below it."""
        return any(f"{given}.".startswith(f"{key}.") for given in self.composition.explicit)

    def is_invalid(self, key: str) -> bool:
        """Return whether a key or one below it has a problem of its own."""
        return any(problem.concerns(key) for problem in self.in_nodes)

    def is_reliable(self, key: str) -> bool:
        """Return whether the values at a key and below it are valid, and those that the user wants."""
        unreliable = any(
            other == key or other.startswith((f"{key}.", f"{key}/")) for other in self.unreliable
        )
        return not unreliable and not self.is_invalid(key)
