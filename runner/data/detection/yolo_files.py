"""YOLO's files: configs, lists of images, lines of boxes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from runner.data.detection.image_path import find_path, portable_path
from runner.data.images.tree import files_below, is_image

__all__ = ["find_configs", "find_names", "list_images", "parse_line", "read_labels"]


def find_configs(folder: Path) -> list[Path]:
    """YAML files that name classes; ``data.yaml`` alone, if it is among several."""
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    preferred = [file for file in files if file.stem in ("data", "dataset", "config")]
    return preferred[:1] or files


def find_names(folder: Path) -> list[str]:
    """Of the classes, from a ``classes.txt`` with a name a line."""
    for file in (folder / "classes.txt", folder / "labels" / "classes.txt"):
        if file.is_file():
            return [
                line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()
            ]
    return []


def list_images(place: Path, root: Path) -> list[Path]:
    """Of a folder, or of a text file that lists them, one a line; absolute, sorted or in the file's order.

    Links stay what they are called: the labels lie beside the link, not beside what it leads to.
    """
    if place.is_dir():
        found = [entry.path for entry in files_below(place) if is_image(entry.name)]
        return sorted(Path(os.path.abspath(path)) for path in found)
    lines = [line.strip() for line in place.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    return [Path(os.path.abspath(listed_image(line, (place.parent, root)))) for line in lines]


def listed_image(line: str, bases: Sequence[Path]) -> Path:
    """The image that a line of a list names, relative to one of ``bases``, of which the last is the default."""
    found = ((base, find_path(base, line)) for base in bases)
    return next((base / path for base, path in found if path), bases[-1] / portable_path(line))


def read_labels(file: Path, corrupt: list[str]) -> list[tuple[int, tuple[float, float, float, float]]] | None:
    """Reads classes and boxes of one image; None without a file. Unreadable lines are appended to ``corrupt``."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        corrupt.append(f"{file} ({error})")
        return []
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(parse_line(line))
            except ValueError as error:
                corrupt.append(f"{file.name} line {number} ({error})")
    return found


def parse_line(line: str) -> tuple[int, tuple[float, float, float, float]]:
    """Class and box xyxy, as parts of the image, of ``class x y width height`` or ``class x1 y1 x2 y2 x3 y3 …``.

    Raises:
        ValueError: it is neither.
    """
    words = line.split()
    if len(words) != 5 and (len(words) < 7 or len(words) % 2 == 0):
        raise ValueError(f"{len(words)} numbers; expected 5, or a class and at least 3 points")
    values = [float(word) for word in words[1:]]
    label = float(words[0])
    if not label.is_integer():
        raise ValueError(f"the class is {words[0]!r}, expected a whole number")
    if len(words) == 5:
        x, y, width, height = values
        return int(label), (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return int(label), (min(values[0::2]), min(values[1::2]), max(values[0::2]), max(values[1::2]))
