"""Pascal VOC's files: XML files of annotations, and lists of names."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path, PureWindowsPath
from typing import NamedTuple
from xml.etree import ElementTree

from runner.data.detection.image_path import find_path, portable_path
from runner.data.images.tree import is_image

__all__ = ["Parsed", "ParsedSplit", "image_of", "parse_xml", "read_list"]


class Parsed(NamedTuple):
    """One XML file.

    Attributes:
        name: of the file without extension, relative to ``Annotations``.
        filename, folder: of the image, as the file states them.
        size: width and height, 0 where they are not stated.
        objects: class, box xyxy in pixels from 0, and whether it is marked as difficult.
    """

    name: str
    filename: str
    folder: str
    size: tuple[int, int]
    objects: list[tuple[str, tuple[float, float, float, float], bool]]


class ParsedSplit(NamedTuple):
    """The XML files of one split.

    Attributes:
        corrupt: files that cannot be read, with the reason.
        unannotated: names of test images without an XML file.
    """

    entries: list[Parsed]
    corrupt: list[str]
    unannotated: list[str]


def read_list(file: Path, known: frozenset[str]) -> list[str]:
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    return list(dict.fromkeys(listed_name(line.strip(), known) for line in lines if line.strip()))


def listed_name(line: str, known: Collection[str]) -> str:
    """The name in one line of a list: the whole line if it is in ``known``; otherwise the line without the mark of a
    list of one class (``000005 -1``) or without the extension of an image; otherwise its first word."""
    words = line.rsplit(maxsplit=1)
    unmarked = words[0] if len(words) == 2 and words[1] in ("-1", "0", "1", "+1") else line
    readings = [
        line,
        unmarked,
        *(name[: -len(end)] for name in (line, unmarked) if (end := extension_of(name))),
    ]
    readings = [reading for name in [*readings, line.split()[0]] for reading in (name, portable_path(name))]
    if "/" in line or "\\" in line:  # a path of another machine
        readings += [os.path.splitext(PureWindowsPath(name).name)[0] for name in (line, unmarked)]
    return next((name for name in readings if name in known), portable_path(unmarked))


def extension_of(name: str) -> str:
    extension = os.path.splitext(name)[1]
    return extension if extension.lower() == ".xml" or is_image(name) else ""


def image_of(entry: Parsed, root: Path) -> str:
    """The image that an annotation names, with or without its ``<folder>``, where none is named like the file."""
    names = [entry.filename, f"{entry.folder}/{entry.filename}", PureWindowsPath(entry.filename).name]
    return next((path for name in names if (path := find_path(root, name))), portable_path(entry.filename))


def parse_xml(path: Path, name: str) -> Parsed:
    """Raises OSError, ParseError or ValueError when it is no annotation."""
    tree = ElementTree.parse(path).getroot()
    if tree.tag != "annotation":
        raise ValueError(f"its root is <{tree.tag}>, expected <annotation>")
    size = tuple(int(float(tree.findtext(f"size/{side}") or 0)) for side in ("width", "height"))
    objects = []
    for entry in tree.iter("object"):
        class_name, box = (entry.findtext("name") or "").strip(), entry.find("bndbox")
        if not class_name or box is None:
            raise ValueError("an <object> without <name> or <bndbox>")
        xmin, ymin, xmax, ymax = (
            float(box.findtext(side) or "nan") for side in ("xmin", "ymin", "xmax", "ymax")
        )
        difficult = (entry.findtext("difficult") or "0").strip() == "1"
        objects.append((class_name, (xmin - 1, ymin - 1, xmax, ymax), difficult))
    filename = (tree.findtext("filename") or "").strip() or f"{path.stem}.jpg"
    return Parsed(name, filename, (tree.findtext("folder") or "").strip(), size, objects)
