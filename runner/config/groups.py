"""Finds the config groups and their options in the config folders.

This module must not import heavy packages, because shell completion and ``runner list`` use it.
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
    """An option of a config group: one YAML file, and the metadata in the comment at its top.

    Attributes:
        group: name of the config group.
        name: the value in ``group=name``; a file in a subfolder is ``folder/file``.
        path: the YAML file.
        summary: the first sentence of the comment, without the lines below.
        tasks: supported tasks, from a line ``# tasks: classification regression``; empty if any.
        inputs: inputs that a model accepts or a data set provides, from a line ``# inputs: image``; empty if
            not given.
    """

    group: str
    name: str
    path: Path
    summary: str = ""
    tasks: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


def package_conf() -> Path:
    """Return the ``conf/`` folder of runner: inside the package if installed, next to it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def search_folders(config_dirs: list[str] | tuple[str, ...] = ()) -> list[Path]:
    """Return the config folders in order of precedence.

    They are ``./conf``, runner's own and those of ``--config-dir``.
    """
    own = package_conf()
    here = Path.cwd() / "conf"
    folders = [here] if here.is_dir() and here.resolve() != own.resolve() else []
    return [*folders, own, *(Path(folder).absolute() for folder in config_dirs)]


def read_option(group: str, name: str, path: Path) -> Option:
    words: list[str] = []
    metadata: dict[str, tuple[str, ...]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("#").strip()
        match = re.fullmatch(r"(tasks|inputs):\s*(.+)", text)
        if match:
            metadata[match.group(1)] = tuple(re.split(r"[,\s]+", match.group(2).strip()))
        elif not text.startswith("@package"):
            words.append(text)
    sentence = re.split(r"(?<=\.)\s", " ".join(words).strip(), maxsplit=1)[0]
    return Option(group, name, path, sentence, **metadata)


def find_groups(config_dirs: list[str] | tuple[str, ...] = ()) -> dict[str, dict[str, Option]]:
    """Return group → option name → option.

    A file in ``./conf`` takes precedence over runner's file of the same name.
    """
    groups: dict[str, dict[str, Option]] = {}
    for folder in search_folders(config_dirs):
        for path in sorted(folder.glob("*/**/*.yaml")):
            group, *rest = path.relative_to(folder).with_suffix("").parts
            options, name = groups.setdefault(group, {}), "/".join(rest)
            if name not in options:
                options[name] = read_option(group, name, path)
    return groups
