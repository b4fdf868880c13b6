"""Commands of child processes that execute a module of an installed package."""

from __future__ import annotations

import sys

__all__ = ["SAFE_PATH", "module_command"]

SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""Environment variable with the effect of ``-P`` for the children of a child process, too."""


def module_command(module: str, *arguments: str, unbuffered: bool = False) -> list[str]:
    """Return the command that executes a module with this interpreter.

    ``-P`` keeps the working directory off the import path: a file such as ``json.py`` there would otherwise
    be imported instead of the standard library's module.

    Args:
        module: dotted name of the module.
        *arguments: its arguments.
        unbuffered: whether the output is written at once.
    """
    return [sys.executable, "-P", *(["-u"] if unbuffered else []), "-m", module, *arguments]
