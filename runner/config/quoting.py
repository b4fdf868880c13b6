"""Quotes override values that Hydra's grammar cannot parse as typed: file names with ``=``, ``#``, brackets or umlauts."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

__all__ = ["parse_override", "quoted_command", "quoted_override", "unreadable_problem"]

KEY = re.compile(r"[+~]{0,2}[A-Za-z_][\w./@:-]*", re.ASCII)
STRUCTURE = re.compile(r"\s*(?:[\[{]|\w+\()")
"""Beginnings of values that are more likely a malformed list, mapping or function than text."""


def parse_override(text: str) -> Override:
    """Parses an override with Hydra. A value that is invalid or a sweep is taken literally if it is an existing path.

    Raises:
        HydraException: the text is not an override.
    """
    parser = OverridesParser.create()
    try:
        override = parser.parse_override(text)
        if not (override.is_sweep_override() and names_file(text)):
            return override
    except HydraException:
        if not names_file(text):
            raise
    return parser.parse_override(quoted_override(text))


def names_file(text: str) -> bool:
    value = text.partition("=")[2]
    try:
        return bool(value) and Path(value).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long for a name, a null byte, an unknown user
        return False


def quoted_override(text: str) -> str:
    """Return ``key="value"``, quoted and escaped for Hydra's grammar."""
    key, _, value = text.partition("=")
    value = value.replace("${", "\\${")
    value = re.sub(r'(\\*)"', lambda match: match.group(1) * 2 + r"\"", value)
    value = re.sub(r"(\\+)$", lambda match: match.group(1) * 2, value)
    return f'{key}="{value}"'


def quoted_command(text: str) -> str:
    """Return the quoted override, quoted for the shell too; empty if quotes do not make it valid."""
    key, sign, value = text.partition("=")
    if not sign or not value or not KEY.fullmatch(key):
        return ""
    quoted = quoted_override(text)
    try:
        OverridesParser.create().parse_override(quoted)
    except HydraException:
        return ""
    return shlex.quote(quoted)


def unreadable_problem(text: str, error: Exception) -> str:
    """Return the message for an override that cannot be parsed, with the text to type instead."""
    command = quoted_command(text)
    if not command:
        return f"{text!r} is not an override: {str(error).strip().splitlines()[0]}. Expected key=value."
    if STRUCTURE.match(text.partition("=")[2]):
        return (
            f"{text!r} is not an override: a bracket or a quote is missing, or text is not quoted. Lists are written [a, b]; "
            f"if the value is text, type {command}"
        )
    return f"{text!r} is not an override: its value has to be quoted. Type {command}"
