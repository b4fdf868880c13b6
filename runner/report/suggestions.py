"""Commands to use a finished run, which depend on its task."""

from __future__ import annotations

import os
from typing import Any

from runner.run.directory import RunDir

__all__ = ["predict_command", "run_argument"]


def run_argument(run: RunDir) -> str:
    """Return how a run is named in a command: its name if it is in the folder ``runs``, or else its path."""
    relative = os.path.relpath(run.path)
    if relative == os.path.join("runs", run.name):
        return run.name
    return str(run.path) if relative.startswith("..") else relative


def predict_command(run: str, facts: dict[str, Any]) -> tuple[str, str]:
    """Return a command that uses the model, and its purpose.

    Args:
        run: the run as named in the command.
        facts: the facts of its data.
    """
    task = facts.get("task")
    if task == "language":
        return f'runner predict {run} --prompt "{prompt_of(facts)}"', "continue a text"
    if task == "word_vectors":
        return f"runner predict {run} WORD", "list the nearest words"
    return f"runner predict {run} INPUT", "use the model"


def prompt_of(facts: dict[str, Any]) -> str:
    """Return a prompt whose characters are in the vocabulary; tunes begin with their number."""
    return "X:1" if "abc" in str(facts.get("name", "")).lower() else "The "
