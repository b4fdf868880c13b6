"""The resolver ``${facts:KEY}``: what only the data knows, once the worker knows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import OmegaConf

from runner.config.nearest import did_you_mean
from runner.errors import ConfigError

__all__ = [
    "PLACEHOLDER",
    "UNRESOLVED",
    "asked_facts",
    "facts_known",
    "is_placeholder",
    "placeholder",
    "register_facts_resolver",
]

PLACEHOLDER = re.compile(r"<facts:([^>]*)>")

UNRESOLVED = "?"
"""The key of a placeholder for a value that nothing can tell, because its interpolation leads nowhere."""

_current: Any = None


def placeholder(key: str) -> str:
    return f"<facts:{key}>"


def is_placeholder(value: Any) -> bool:
    """Whether a value stands for a fact that is not known yet, or holds one."""
    return isinstance(value, str) and PLACEHOLDER.search(value) is not None


def asked_facts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """``(dotted place, key)`` of every placeholder in plain containers."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from asked_facts(inner, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from asked_facts(inner, f"{place}[{position}]")
    elif isinstance(value, str):
        yield from ((place, key) for key in PLACEHOLDER.findall(value))


def lookup(key: str) -> Any:
    if _current is None:
        return placeholder(key)
    try:
        return _current.get(key)
    except KeyError:
        hint = did_you_mean(key, _current.names())
        raise ConfigError(f"${{facts:{key}}}: the data set tells no {key!r}. {hint}") from None


def register_facts_resolver() -> None:
    """Makes ``${facts:…}`` known to OmegaConf. A fact asked for too early is a placeholder."""
    OmegaConf.register_new_resolver("facts", lookup, replace=True, use_cache=False)


@contextmanager
def facts_known(facts: Any) -> Iterator[None]:
    """Within it ``${facts:KEY}`` is ``facts.get(KEY)``."""
    global _current
    before, _current = _current, facts
    try:
        yield
    finally:
        _current = before


register_facts_resolver()
