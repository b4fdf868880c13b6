"""What can be composed: config groups and their options, found by looking at folders.

Imports nothing heavy: shell completion and ``runner list`` use it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GROUPS", "Option", "find_groups", "package_conf", "search_folders"]

GROUPS = (
    "task", "data", "model", "optimizer", "scheduler", "regularization", "transfer",
    "hardware", "launcher", "tracking", "callbacks", "sweep", "debug",
)  # fmt: skip


@dataclass(frozen=True)
class Option:
    """One file of a group.

    Attributes:
        summary: the first sentence of the comment at its head, ``tasks:`` line apart.
        tasks: tasks it can do, from a comment line ``# tasks: classification regression``; empty: any.
    """

    group: str
    name: str
    path: Path
    summary: str = ""
    tasks: tuple[str, ...] = ()


def package_conf() -> Path:
    """The ``conf/`` that came with the program: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def search_folders(config_dirs: list[str] | tuple[str, ...] = ()) -> list[Path]:
    """Folders in the order they win: ``./conf``, the program's own, then ``--config-dir`` ones."""
    own = package_conf()
    here = Path.cwd() / "conf"
    folders = [here] if here.is_dir() and here.resolve() != own.resolve() else []
    return [*folders, own, *(Path(folder).absolute() for folder in config_dirs)]


def read_option(group: str, path: Path) -> Option:
    words, tasks = [], ()
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("#").strip()
        match = re.fullmatch(r"tasks:\s*(.+)", text)
        if match:
            tasks = tuple(re.split(r"[,\s]+", match.group(1).strip()))
        elif not text.startswith("@package"):
            words.append(text)
    sentence = re.split(r"(?<=\.)\s", " ".join(words).strip(), maxsplit=1)[0]
    return Option(group, path.stem, path, sentence, tasks)


def find_groups(config_dirs: list[str] | tuple[str, ...] = ()) -> dict[str, dict[str, Option]]:
    """Group → option's name → option. A file in ``./conf`` hides the program's file of the same name."""
    groups: dict[str, dict[str, Option]] = {}
    for folder in search_folders(config_dirs):
        for path in sorted(folder.glob("*/*.yaml")):
            options = groups.setdefault(path.parent.name, {})
            if path.stem not in options:
                options[path.stem] = read_option(path.parent.name, path)
    return groups
