"""Paths of images as annotation tools write them, on Windows or on another machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

__all__ = ["find_path", "portable_path"]


def portable_path(name: str) -> str:
    """The path with ``/`` instead of Windows' separator."""
    return name.replace("\\", "/")


def find_path(folder: Path, name: str) -> str | None:
    """The path of an existing file, relative to ``folder``, that an annotation names; None if no file exists.

    A name is first read as written, since ``\\`` is a valid character in Linux file names, then with ``\\`` as a
    separator. The leading folders of an absolute path of another machine are removed one by one.
    """
    return next((path for path in readings_of(name) if (folder / path).is_file()), None)


def readings_of(name: str) -> Iterator[str]:
    yield name
    if "\\" in name:
        yield portable_path(name)
    path = PureWindowsPath(name)
    if path.anchor or name.startswith("/"):
        parts = path.parts[1:]
        yield from ("/".join(parts[start:]) for start in range(len(parts)))
