"""Common folder layouts of annotated images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from runner.data.detection.image_path import find_path
from runner.config.nearest import did_you_mean
from runner.data.split_folders import split_of_folder

__all__ = [
    "broken_link",
    "find_image_folder",
    "folder_problems",
    "link_problem",
    "no_images_problem",
    "split_meant",
]

MAX_LINK_BYTES = 4096


def split_meant(name: str) -> str | None:
    """Returns ``train``, ``val`` or ``test`` if a word of the name means one: ``instances_train2017`` → ``train``."""
    for word in (name, *re.split(r"[^a-z]+", name.lower())):
        if split := split_of_folder(word):
            return split
    return None


def folder_problems(root: str | None) -> list[str]:
    """Returns a problem if the root is not a folder."""
    here = f"data.root={root}"
    folder = Path(root).expanduser()
    if not folder.exists():
        parent = folder.parent
        near = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
        return [f"{here}: there is no such folder.{' ' + did_you_mean(folder.name, near) if near else ''}"]
    if not folder.is_dir():
        return [f"{here} is a file, expected a folder. If it is an archive, unpack it first."]
    return []


def find_image_folder(candidates: Iterable[Path], names: Sequence[str]) -> Path | None:
    """Returns the first folder that contains one of the named images."""
    tried = names[:1] + names[len(names) // 2 : len(names) // 2 + 1] + names[-1:]
    for folder in candidates:
        if folder.is_dir() and any(find_path(folder, name) for name in tried):
            return folder
    return None


def broken_link(folder: Path) -> str | None:
    """Returns the target of a symbolic link that was copied as a text file, as Git on Windows and some archives do."""
    if not folder.is_file() or folder.stat().st_size > MAX_LINK_BYTES:
        return None
    try:
        text = folder.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    target = (folder.parent / text).resolve()
    return text if text and "\n" not in text and target.is_dir() else None


def link_problem(place: Path, target: str) -> str:
    """Returns a hint about such a file, for messages."""
    return (
        f"{place} is a text file that says {target!r}: a symbolic link that was copied as a file. "
        f"Give data.images={target}."
    )


def no_images_problem(tried: Iterable[Path], example: str) -> str:
    """Returns the reason why no image was found, for messages."""
    places = ", ".join(dict.fromkeys(str(folder) for folder in tried))
    return f"{example} is in none of {places}. Say where the images are with data.images=FOLDER."
