"""Overrides whose value Hydra's grammar cannot read as typed: file names with ``=``, ``#``, brackets or umlauts."""

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
"""Starts of values that are more likely a broken list, mapping or function than text."""


def parse_override(text: str) -> Override:
    """Hydra's parser. A value that it cannot read, or reads as several values, is taken literally if it names a file.

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
    """``key=value`` with the value in double quotes, in Hydra's grammar."""
    key, _, value = text.partition("=")
    value = value.replace("${", "\\${")
    value = re.sub(r'(\\*)"', lambda match: match.group(1) * 2 + r"\"", value)
    value = re.sub(r"(\\+)$", lambda match: match.group(1) * 2, value)
    return f'{key}="{value}"'


def quoted_command(text: str) -> str:
    """The same as a word of a command line, quoted for the shell too; empty if quotes do not make it an override."""
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
    """One sentence about an override that cannot be read, with the line to type instead."""
    command = quoted_command(text)
    if not command:
        return f"{text!r} is not an override: {str(error).strip().splitlines()[0]}. Expected key=value."
    if STRUCTURE.match(text.partition("=")[2]):
        return (
            f"{text!r} is not an override: a bracket or a quote is missing, or text is not quoted. Lists are written [a, b]; "
            f"if the value is text, type {command}"
        )
    return f"{text!r} is not an override: its value has to be quoted. Type {command}"
