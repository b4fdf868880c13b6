"""The resolver ``${facts:KEY}``: what only the data knows, once the worker knows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import OmegaConf

from runner.config.nearest import did_you_mean
from runner.errors import ConfigError

__all__ = ["facts_known", "is_placeholder", "register_facts_resolver"]

_current: Any = None


def placeholder(key: str) -> str:
    return f"<facts:{key}>"


def is_placeholder(value: Any) -> bool:
    """Whether a value stands for a fact that is not known yet."""
    return isinstance(value, str) and value.startswith("<facts:")


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
