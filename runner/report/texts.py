"""Texts about a run, such as samples of a language model, stored for the report page."""

from __future__ import annotations

from typing import Any

from runner.run.directory import RunDir
from runner.run.files import read_json, write_json

__all__ = ["read_texts", "write_texts"]

FILE = "texts.json"
"""Name of the file in the folder of the plots."""


def write_texts(run: RunDir, texts: dict[str, Any]) -> None:
    """Write the texts of a task, if there are any."""
    if texts:
        run.plots.mkdir(parents=True, exist_ok=True)
        write_json(run.plots / FILE, texts)


def read_texts(run: RunDir) -> dict[str, Any]:
    """Return the texts of a run; empty without any."""
    try:
        texts = read_json(run.plots / FILE, {})
    except (OSError, ValueError):
        return {}
    return texts if isinstance(texts, dict) else {}
