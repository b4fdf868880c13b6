"""Folder layouts of annotated images, paths as annotation tools write them, and image sizes."""

from __future__ import annotations

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
    """The path with ``/`` instead of Windows' separator."""
    return name.replace("\\", "/")


def find_path(folder: Path, name: str) -> str | None:
    """The path of an existing file, relative to ``folder``, that an annotation names; None if no file exists.

    A name is first read as written, since ``\\`` is a valid character in Linux file names, then with ``\\``
    as a separator. The leading folders of an absolute path of another machine are removed one by one.
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
    """Returns the median of the shorter sides and the maximum of the longer sides of the images.

    Up to 200 images whose annotation states no size are opened, but not decoded.
    """
    sizes = table.sizes[list(positions)]
    sizes = sizes[(sizes > 0).all(1)]
    if not len(sizes):
        chosen = [
            positions[i]
            for i in np.linspace(0, len(positions) - 1, min(len(positions), NUM_OPENED)).astype(int)
        ]
        found = [size for size in (size_of(root / table.paths[i]) for i in chosen) if size is not None]
        sizes = np.array(found or [(MAX_SHORTER, MAX_LONGER)])
    shorter = min(MAX_SHORTER, int(np.median(sizes.min(1))))
    return shorter, max(shorter, min(MAX_LONGER, int(sizes.max())))


def size_of(path: Path) -> tuple[int, int] | None:
    """Returns width and height; None for a file that is not an image (it is reported when it is decoded)."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def wrong_sizes(root: Path, table: BoxTable, missing: Collection[int] = ()) -> dict[int, str]:
    """Returns the positions of the images whose size differs from their annotation, with both sizes.

    The size of an image is the one after the rotation that its EXIF orientation asks for, because training
    sees the image so. An annotation with the size before the rotation is wrong too: its boxes may refer to
    the stored or to the rotated pixels, and tools write both. Files that cannot be read are skipped; they are
    reported when their pixels are read.
    """
    stated = (table.sizes > 0).all(1)
    wrong = {}
    for position in np.flatnonzero(stated).tolist():
        if position in missing:
            continue
        width, height = table.sizes[position].tolist()
        stored, shown = sizes_of(root / table.paths[position])
        if shown in (None, (width, height)):
            continue
        words = f"{shown[0]} × {shown[1]} pixels, annotated as {width} × {height}"
        if stored != shown and stored == (width, height):
            words = (
                f"{shown[0]} × {shown[1]} pixels once rotated by its EXIF orientation, annotated as {width} "
                f"× {height}, "
                "its size before; its boxes may refer to either"
            )
        wrong[position] = words
    return wrong


def sizes_of(path: Path) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Returns width and height as stored, and as displayed; None for an unreadable file."""
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
    """Returns ``train``, ``val`` or ``test`` if a word of the name means one: ``instances_train2017`` →
    ``train``.
    """
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
    """Returns the target of a symbolic link that was copied as a text file, as Git on Windows and some
    archives do.
    """
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
