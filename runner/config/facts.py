"""The resolver ``${facts:KEY}``: properties of the data, which the worker provides after reading it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import OmegaConf

from runner.errors import ConfigError, Problem
from runner.run.flatten import flatten
from runner.suggest import did_you_mean

__all__ = [
    "PLACEHOLDER",
    "UNRESOLVED",
    "facts_known",
    "is_placeholder",
    "placeholder",
    "referenced_facts",
    "register_facts_resolver",
]

PLACEHOLDER = re.compile(r"<facts:([^>]*)>")

UNRESOLVED = "?"
"""Key of the placeholder for a value whose interpolation cannot be resolved."""

_current: Any = None


def placeholder(key: str) -> str:
    """Return the text that represents a fact in plain containers while it is unknown."""
    return f"<facts:{key}>"


def is_placeholder(value: Any) -> bool:
    """Return whether a value is or contains a placeholder of a fact that is not known yet."""
    return isinstance(value, str) and PLACEHOLDER.search(value) is not None


def referenced_facts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield ``(dotted key, fact)`` for every placeholder in plain containers."""
    for inner_key, leaf in flatten(value, key, lists="items"):
        if isinstance(leaf, str):
            yield from ((inner_key, fact) for fact in PLACEHOLDER.findall(leaf))


def lookup(key: str) -> Any:
    if _current is None:
        return placeholder(key)
    try:
        return _current.get(key)
    except KeyError:
        text = f"${{facts:{key}}}: the data set does not provide {key!r}."
        raise ConfigError(Problem("", text, "unresolved", did_you_mean(key, _current.names()))) from None


def register_facts_resolver() -> None:
    """Registers ``${facts:…}`` with OmegaConf. It resolves to a placeholder while the facts are unknown."""
    OmegaConf.register_new_resolver("facts", lookup, replace=True, use_cache=False)


@contextmanager
def facts_known(facts: Any) -> Iterator[None]:
    """Resolves ``${facts:KEY}`` to ``facts.get(KEY)`` within the context."""
    global _current  # noqa: PLW0603 - OmegaConf 2.3 has one resolver per process
    before, _current = _current, facts
    try:
        yield
    finally:
        _current = before


register_facts_resolver()
