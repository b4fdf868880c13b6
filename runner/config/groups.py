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
    """One file of a group, and what the comment at its head says.

    Attributes:
        name: as it stands behind ``group=``; a file in a subfolder is ``folder/file``.
        summary: the first sentence of the comment, the lines below apart.
        tasks: from a line ``# tasks: classification regression``: what it can do; empty: any.
        inputs: from a line ``# inputs: image``: what a model takes or a data set gives; empty: not said.
    """

    group: str
    name: str
    path: Path
    summary: str = ""
    tasks: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


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


def read_option(group: str, name: str, path: Path) -> Option:
    words: list[str] = []
    said: dict[str, tuple[str, ...]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("#").strip()
        match = re.fullmatch(r"(tasks|inputs):\s*(.+)", text)
        if match:
            said[match.group(1)] = tuple(re.split(r"[,\s]+", match.group(2).strip()))
        elif not text.startswith("@package"):
            words.append(text)
    sentence = re.split(r"(?<=\.)\s", " ".join(words).strip(), maxsplit=1)[0]
    return Option(group, name, path, sentence, **said)


def find_groups(config_dirs: list[str] | tuple[str, ...] = ()) -> dict[str, dict[str, Option]]:
    """Group → option's name → option. A file in ``./conf`` hides the program's file of the same name."""
    groups: dict[str, dict[str, Option]] = {}
    for folder in search_folders(config_dirs):
        for path in sorted(folder.glob("*/**/*.yaml")):
            group, *rest = path.relative_to(folder).with_suffix("").parts
            options, name = groups.setdefault(group, {}), "/".join(rest)
            if name not in options:
                options[name] = read_option(group, name, path)
    return groups
