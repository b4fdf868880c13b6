"""Formats Python values as Hydra overrides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["as_overrides", "flatten"]

PLAIN = re.compile(r"(?:\.{0,2}/)?[A-Za-z_][\w./-]*", re.ASCII)
"""Strings that need no quotes in Hydra's grammar."""
WORDS = {"null", "true", "false", "nan", "inf", "yes", "no", "on", "off"}


def as_overrides(values: dict[str, Any]) -> list[str]:
    """``{"model": "mlp", "optimizer": {"lr": 0.1}}`` → ``["model=mlp", "optimizer.lr=0.1"]``."""
    return [f"{key}={spell(value)}" for key, value in flatten(values)]


def flatten(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and their values."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def spell(value: Any) -> str:
    """Format a value in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(spell(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{spell(item)}' for key, item in value.items())}}}"
    text = str(value)
    if PLAIN.fullmatch(text) and text.lower() not in WORDS:
        return text
    # Within quotes, a backslash is literal unless a quote follows it.
    quoted = re.sub(r"(\\*)'", lambda match: match.group(1) * 2 + r"\'", text)
    quoted = re.sub(r"(\\+)$", lambda match: match.group(1) * 2, quoted)
    return f"'{quoted}'"
