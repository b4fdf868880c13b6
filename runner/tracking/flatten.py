"""A config as MLflow's parameters, and names as MLflow takes them."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

__all__ = ["flatten", "params_of", "valid_key"]

MAX_VALUE_LENGTH = 6000  # MLflow refuses or cuts longer parameters
MAX_KEY_LENGTH = 250


def flatten(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested containers under dotted keys. A list without containers in it is a leaf."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(node, list) and any(isinstance(item, (dict, list)) for item in node):
        for index, value in enumerate(node):
            yield from flatten(value, f"{prefix}.{index}")
    else:
        yield prefix, node


def params_of(config: dict[str, Any]) -> dict[str, str]:
    """Every value of a config under its dotted key, spelled as the command line takes it.

    Values that still wait for the data set's facts are left out. One that MLflow would refuse for its length
    is cut, and says so; it is whole in the artifact config.yaml.
    """
    params = {}
    for key, value in flatten(config):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        if "${" not in text:
            params[valid_key(key)] = shorten(without_password(text))
    return params


def shorten(text: str) -> str:
    if len(text) <= MAX_VALUE_LENGTH:
        return text
    note = f" … [{len(text)} characters; whole in the artifact config.yaml]"
    return text[: MAX_VALUE_LENGTH - len(note)] + note


def without_password(text: str) -> str:
    """An address without the user and password in it."""
    if "://" not in text or "@" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return text
    if not parts.password:
        return text
    return urlunsplit(parts._replace(netloc=f"…@{parts.netloc.rpartition('@')[2]}"))


def valid_key(key: str) -> str:
    """``key`` itself where MLflow takes it; otherwise made valid, with a digest so that no two fall together."""
    valid = posixpath.normpath(re.sub(r"[^/\w.\- :]", "_", key)).lstrip("./") or "_"
    if valid == key and len(key) <= MAX_KEY_LENGTH:
        return key
    digest = hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()[:8]
    return f"{valid[: MAX_KEY_LENGTH - 9]}-{digest}"
