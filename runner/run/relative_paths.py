"""Resolves relative paths in a run's config against the directory in which the run was started."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from runner.run.directory import RunDir
from runner.run.files import read_json

__all__ = ["PATHS_FROM", "absolute_paths", "start_directory"]

PATHS_FROM = "paths_from"
"""Provenance key of a reproduced run: the directory that the original's paths are relative to."""

PATH_KEY = re.compile(r"(?:\w+_)?(?:path|paths|root|dir|file)")
"""Names of settings that hold a path relative to the working directory."""


def start_directory(run: RunDir) -> Path | None:
    """The directory in which the run was started; None if it is not recorded or does not exist here."""
    provenance = read_json(run.provenance_path, {})
    folder = provenance.get(PATHS_FROM) or provenance.get("working_directory")
    return Path(folder) if folder and Path(folder).is_dir() else None


def absolute_paths(run: RunDir, config: dict[str, Any], given: Collection[str] = ()) -> dict[str, Any]:
    """The config of a run with absolute paths of its data and weights. The stored config keeps the relative ones.

    A path that exists only in the current directory is kept, as for a run that was copied together with its data.

    Args:
        given: dotted keys set by the current command, whose paths are relative to the current directory.
    """
    start = start_directory(run)
    if start is None or start == Path.cwd():
        return config
    located = {
        key: with_absolute(config[key], key, start, given) for key in ("data", "weights") if config.get(key)
    }
    return config | located


def with_absolute(value: Any, key: str, start: Path, given: Collection[str]) -> Any:
    if key in given:
        return value
    if isinstance(value, dict):
        return {name: with_absolute(inner, f"{key}.{name}", start, given) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_absolute(inner, key, start, given) for inner in value]
    name = key.rpartition(".")[2]
    if isinstance(value, str) and (name == "weights" or PATH_KEY.fullmatch(name)):
        return absolute(value, start)
    return value


def absolute(value: str, start: Path) -> str:
    if not value or "://" in value or value == "???" or value.startswith("~") or Path(value).is_absolute():
        return value
    there = start / value
    return str(there) if there.exists() or not Path(value).exists() else value
