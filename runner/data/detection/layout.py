"""Folder layouts of annotated images, paths in annotations, and image sizes."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path, PureWindowsPath

import numpy as np
from PIL import Image

from runner.data.class_folders import split_of_folder
from runner.data.detection.source import BoxTable
from runner.data.images.decode import decode_image
from runner.suggest import did_you_mean

__all__ = [
    "broken_link",
    "find_image_folder",
    "find_path",
    "folder_problems",
    "link_problem",
    "no_images_problem",
    "portable_path",
    "split_meant",
    "usual_sides",
    "wrong_sizes",
]


def portable_path(name: str) -> str:
    r"""Return the path with ``/`` instead of ``\``."""
    return name.replace("\\", "/")


def leaves_folder(name: str) -> bool:
    """Return whether a relative path leads out of the folder that it is relative to."""
    return os.path.normpath(portable_path(name)).split("/", maxsplit=1)[0] == ".."


def find_path(folder: Path, name: str) -> str | None:
    r"""Return the file named by an annotation, relative to ``folder``; None if it does not exist.

    A name is first used unchanged, since ``\`` is a valid character in Linux file names, then with ``\`` as a
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


MAX_SHORTER, MAX_LONGER = 800, 1333
"""Size above which detectors no longer gain from larger images (Lin et al. 2016, arXiv:1612.03144)."""
NUM_OPENED = 200
ORIENTATION = 274
"""EXIF's tag; its values 5 to 8 swap width and height."""


def usual_sides(root: Path, table: BoxTable, positions: Sequence[int]) -> tuple[int, int]:
    """Return the median of the shorter sides and the maximum of the longer sides of the images.

    If no annotation states a size, up to 200 images are opened, but not decoded.
    """
    sizes = table.sizes[list(positions)]
    sizes = sizes[(sizes > 0).all(1)]
    if not len(sizes):
        sample = [
            positions[i]
            for i in np.linspace(0, len(positions) - 1, min(len(positions), NUM_OPENED)).astype(int)
        ]
        known = [size for size in (size_of(root / table.paths[i]) for i in sample) if size is not None]
        sizes = np.array(known or [(MAX_SHORTER, MAX_LONGER)])
    shorter = min(MAX_SHORTER, int(np.median(sizes.min(1))))
    return shorter, max(shorter, min(MAX_LONGER, int(sizes.max())))


def size_of(path: Path) -> tuple[int, int] | None:
    """Return width and height; None for a file that is not an image, which is reported when it is decoded."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def wrong_sizes(root: Path, table: BoxTable, missing: Collection[int] = ()) -> dict[int, str]:
    """Return the positions of the images whose size differs from their annotation, with both sizes.

    The size of an image is the one after the rotation by its EXIF orientation, which is applied in training.
    An annotation with the size before the rotation is wrong, too: its boxes may refer to the stored or to the
    rotated pixels, and tools write both. Files that cannot be read are skipped; they are reported when their
    pixels are read.
    """
    stated = (table.sizes > 0).all(1)
    wrong = {}
    for position in np.flatnonzero(stated).tolist():
        if position in missing:
            continue
        width, height = table.sizes[position].tolist()
        stored, shown = sizes_of(root / table.paths[position])
        if shown is None or shown == (width, height):
            continue
        words = f"{shown[0]} × {shown[1]} pixels, annotated as {width} × {height}"
        if stored != shown and stored == (width, height):
            words = (
                f"{shown[0]} × {shown[1]} pixels after the rotation by its EXIF orientation, annotated as "
                f"{width} × {height}, its size before; its boxes may refer to either"
            )
        wrong[position] = words
    return wrong


def sizes_of(path: Path) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Return width and height as stored, and as displayed; None for an unreadable file."""
    try:
        with Image.open(path) as image:
            stored, rotated = image.size, image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        if not rotated:
            return stored, stored
        height, width = decode_image(path.read_bytes()).shape[-2:]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None, None
    return (height, width), (width, height)


MAX_LINK_BYTES = 4096


def split_meant(name: str) -> str | None:
    """Return the split that a word of the name stands for (``instances_train2017`` → ``train``), or None."""
    for word in (name, *re.split(r"[^a-z]+", name.lower())):
        if split := split_of_folder(word):
            return split
    return None


def folder_problems(root: str) -> list[str]:
    """Return a problem if the root is not a folder."""
    here = f"data.root={root}"
    folder = Path(root).expanduser()
    if not folder.exists():
        parent = folder.parent
        near = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
        hint = f" {did_you_mean(folder.name, near, dotted=False)}" if near else ""
        return [f"{here}: there is no such folder.{hint}"]
    if not folder.is_dir():
        return [f"{here} is a file, expected a folder. If it is an archive, unpack it first."]
    return []


def find_image_folder(candidates: Iterable[Path], names: Sequence[str]) -> Path | None:
    """Return the first folder that contains one of the named images; None if there is none."""
    tried = [*names[:1], *names[len(names) // 2 : len(names) // 2 + 1], *names[-1:]]
    for folder in candidates:
        if folder.is_dir() and any(find_path(folder, name) for name in tried):
            return folder
    return None


def broken_link(folder: Path) -> str | None:
    """Return the target of a symbolic link that was copied as a text file; None for all other files.

    Git on Windows and some archives create such files.
    """
    if not folder.is_file() or folder.stat().st_size > MAX_LINK_BYTES:
        return None
    try:
        text = folder.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    target = (folder.parent / text).resolve()
    return text if text and "\n" not in text and target.is_dir() else None


def link_problem(link: Path, target: str) -> str:
    """Return the message for a symbolic link that was copied as a text file."""
    return (
        f"{link} is a text file with the content {target!r}: a symbolic link that was copied as a file. "
        f"Give data.images={target}."
    )


def no_images_problem(tried: Iterable[Path], example: str) -> str:
    """Return the message for annotations whose images were not found."""
    folders = ", ".join(dict.fromkeys(str(folder) for folder in tried))
    return f"{example} is in none of {folders}. Give the folder of the images with data.images=FOLDER."
