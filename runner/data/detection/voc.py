"""Pascal VOC: an XML file per image in ``Annotations``, images in ``JPEGImages``, lists of names."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path, PureWindowsPath
from typing import Literal, NamedTuple, Unpack
from xml.etree import ElementTree

import numpy as np

from runner.data.class_folders import split_of_folder
from runner.data.detection.folder import AnnotatedImagesDataModule, AnnotatedImagesOptions
from runner.data.detection.layout import broken_link, find_path, portable_path
from runner.data.detection.source import BoxTable, Reading
from runner.data.images.tree import files_below, is_image
from runner.data.labels import find_label, merge_spellings
from runner.errors import DataError

__all__ = ["Parsed", "ParsedSplit", "VocDataModule", "image_of", "parse_xml", "read_list"]


class Parsed(NamedTuple):
    """The content of an XML file.

    Attributes:
        name: name of the file without extension, relative to ``Annotations``.
        filename, folder: file name and folder of the image, as stated in the file.
        size: width and height, 0 if they are not stated.
        objects: class, box xyxy in pixels from 0, and whether the object is marked as difficult.
    """

    name: str
    filename: str
    folder: str
    size: tuple[int, int]
    objects: list[tuple[str, tuple[float, float, float, float], bool]]


class ParsedSplit(NamedTuple):
    """The XML files of one split.

    Attributes:
        entries: content of the files.
        corrupt: files that cannot be read, with the reason.
        unannotated: names of test images without an XML file.
    """

    entries: list[Parsed]
    corrupt: list[str]
    unannotated: list[str]


def read_list(file: Path, known: frozenset[str]) -> list[str]:
    """Return the names in a list of images, without repetitions; see ``listed_name``."""
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    return list(dict.fromkeys(listed_name(line.strip(), known) for line in lines if line.strip()))


def listed_name(line: str, known: Collection[str]) -> str:
    """Return the name in one line of a list.

    This is the whole line if it is in ``known``; otherwise the line without the mark of a list of one class
    (``000005 -1``) or without the extension of an image; otherwise its first word.
    """
    words = line.rsplit(maxsplit=1)
    unmarked = words[0] if len(words) == 2 and words[1] in ("-1", "0", "1", "+1") else line
    readings = [
        line,
        unmarked,
        *(name[: -len(end)] for name in (line, unmarked) if (end := extension_of(name))),
    ]
    readings = [
        reading for name in [*readings, line.split(maxsplit=1)[0]] for reading in (name, portable_path(name))
    ]
    if "/" in line or "\\" in line:  # a path of another machine
        readings += [os.path.splitext(PureWindowsPath(name).name)[0] for name in (line, unmarked)]
    return next((name for name in readings if name in known), portable_path(unmarked))


def extension_of(name: str) -> str:
    extension = os.path.splitext(name)[1]
    return extension if extension.lower() == ".xml" or is_image(name) else ""


def image_of(entry: Parsed, root: Path) -> str:
    """Return the image named in an annotation file, with or without its ``<folder>``."""
    names = [entry.filename, f"{entry.folder}/{entry.filename}", PureWindowsPath(entry.filename).name]
    return next((path for name in names if (path := find_path(root, name))), portable_path(entry.filename))


def parse_xml(path: Path, name: str) -> Parsed:
    """Read an annotation file.

    Raises:
        OSError: the file cannot be read.
        ParseError: the file is not XML.
        ValueError: the file is not an annotation.
    """
    tree = ElementTree.parse(path).getroot()
    if tree.tag != "annotation":
        raise ValueError(f"its root is <{tree.tag}>, expected <annotation>")
    width, height = (int(float(tree.findtext(f"size/{side}") or 0)) for side in ("width", "height"))
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
    return Parsed(name, filename, (tree.findtext("folder") or "").strip(), (width, height), objects)


class VocDataModule(AnnotatedImagesDataModule):
    """Images with boxes in Pascal VOC's XML, whose pixels are numbered from 1.

    ``ImageSets/Main/train.txt``, ``val.txt`` and ``test.txt``, or other names of splits such as
    ``valid.txt``, list the images of each split; without a list for train, it has all remaining images. A
    missing val split is split off from train. A folder of the development kit (``VOCdevkit/VOC2012``) below
    the root is detected.

    Args:
        root: the folder.
        class_names: the classes, in the order of their labels; those of the training images, sorted, when
            None.
        difficult: treatment of objects marked as difficult: ``ignore`` excludes them from training and from
            the metrics; ``keep`` treats them like all others.

    The other arguments are those of AnnotatedImagesDataModule.
    """

    def __init__(
        self,
        root: str,
        *,
        class_names: list[str] | None = None,
        difficult: Literal["ignore", "keep"] = "ignore",
        **options: Unpack[AnnotatedImagesOptions],
    ) -> None:
        super().__init__(root=root, **options)
        self.class_names = class_names
        self.difficult = difficult

    @property
    def base(self) -> Path:
        """The folder that contains ``Annotations``: the root or its only such subfolder."""
        below = [
            path.parent for path in (*self.folder.glob("*/Annotations"), *self.folder.glob("*/*/Annotations"))
        ]
        return below[0] if len(below) == 1 and not (self.folder / "Annotations").is_dir() else self.folder

    @property
    def image_folder(self) -> Path | None:
        """``JPEGImages``, ``images``, or where the annotations are."""
        folders = [self.base / name for name in ("JPEGImages", "images", "Images", "Annotations")]
        return next((folder for folder in folders if holds_images(folder)), None)

    @property
    def _images(self) -> Path:
        if self.image_folder is None:
            raise DataError(f"{self.base} has no images in JPEGImages, images or Annotations.")
        return self.image_folder

    def layout_problems(self) -> list[str]:
        base = self.base
        if not (base / "Annotations").is_dir():
            return [f"data.root={self.root} has no folder Annotations with an XML file for each image."]
        if self.image_folder is None:
            link = broken_link(base / "JPEGImages")
            hint = (
                f" JPEGImages is a text file with the content {link!r}: a symbolic link copied as a file."
                if link
                else ""
            )
            return [f"{base} has no images in JPEGImages, images or Annotations.{hint}"]
        return []

    def read(self) -> tuple[dict[str, Reading], list[str]]:
        listed = self.listed()
        parsed = {split: self.parse(names, split) for split, names in listed.items()}
        spellings = [name for entry in parsed["train"].entries for name, *_ in entry.objects]
        class_names = list(dict.fromkeys(merge_spellings(self.class_names or sorted(spellings)).values()))
        return {split: self.reading(part, class_names) for split, part in parsed.items()}, class_names

    def listed(self) -> dict[str, list[str]]:
        """Return split → names of images without extension, relative to ``Annotations``.

        Raises:
            DataError: there are several lists for one split, or a list is empty.
        """
        every = sorted(
            portable_path(os.path.relpath(file.path, self.base / "Annotations"))[: -len(".xml")]
            for file in files_below(self.base / "Annotations")
            if file.name.endswith(".xml")
        )
        listed = {split: read_list(file, frozenset(every)) for split, file in self.lists().items()}
        others = {name for split in ("val", "test") for name in listed.get(split, ())}
        listed["train"] = [name for name in listed.get("train", every) if name not in others]
        empty = [split for split, names in listed.items() if not names]
        if empty:
            raise DataError(f"{self.base} lists no images for {', '.join(empty)}.")
        used = {name for names in listed.values() for name in names}
        unlisted = [name for name in every if name not in used]
        reason = "no list of ImageSets/Main names them"
        self.dropped.add("images", len(unlisted), reason, len(every), self.base, unlisted)
        return listed

    def lists(self) -> dict[str, Path]:
        """Return the list of each split.

        Lists of one class (``cat_train.txt``) are ignored; ``trainval.txt`` is for train if it has no other
        list.

        Raises:
            DataError: there are several lists for one split.
        """
        folders = (self.base / "ImageSets" / "Main", self.base / "ImageSets")
        folder = next((path for path in folders if path.is_dir()), folders[0])
        files = sorted(folder.glob("*.[tT][xX][tT]")) if folder.is_dir() else []
        lists: dict[str, Path] = {}
        for file in files:
            split = split_of_folder(file.stem)
            if split in lists:
                raise DataError(
                    f"{folder} has several lists for {split}: {lists[split].name}, {file.name}. Keep one."
                )
            if split:
                lists[split] = file
        both = [file for file in files if file.stem.lower() == "trainval"]
        return {"train": both[0], **lists} if both else lists

    def parse(self, names: list[str], split: str) -> ParsedSplit:
        """Read the annotations of the named images."""
        parsed = ParsedSplit([], [], [])
        for name in names:
            path = self.base / "Annotations" / f"{name}.xml"
            try:
                parsed.entries.append(parse_xml(path, name))
            except FileNotFoundError:
                if split == "test":
                    parsed.unannotated.append(name)
                else:
                    parsed.corrupt.append(f"{path.name} (no such file)")
            except (OSError, ElementTree.ParseError, ValueError, AttributeError) as error:
                parsed.corrupt.append(f"{path.name} ({error})")
        return parsed

    def reading(self, parsed: ParsedSplit, class_names: list[str]) -> Reading:
        """Return the boxes of a split."""
        root = self._images
        names = self.image_names(root)
        spellings = {name for entry in parsed.entries for name, *_ in entry.objects}
        label = {name: find_label(name, class_names) for name in spellings}
        rows = [
            (
                position,
                *box,
                -1 if label[name] is None else label[name],
                difficult and self.difficult == "ignore",
            )
            for position, entry in enumerate(parsed.entries)
            for name, box, difficult in entry.objects
        ]
        columns = np.array(rows, dtype=np.float64).reshape(-1, 7)
        unknown = [name for entry in parsed.entries for name, *_ in entry.objects if label[name] is None]
        table = BoxTable.build(
            [names.get(entry.name) or image_of(entry, root) for entry in parsed.entries],
            columns[:, 0],
            columns[:, 1:5],
            columns[:, 5],
            sizes=np.array([entry.size for entry in parsed.entries]),
            crowd=columns[:, 6] > 0,
        )
        return Reading(table, str(root), parsed.corrupt, unknown, parsed.unannotated)

    def image_names(self, root: Path) -> dict[str, str]:
        """Return path without extension → path of the image files, relative to ``root``."""
        paths = [
            portable_path(os.path.relpath(file.path, root))
            for file in files_below(root)
            if is_image(file.name)
        ]
        return {os.path.splitext(path)[0]: path for path in paths}

    def unused_files(self, readings: dict[str, Reading]) -> None:
        root = self._images
        images = self.image_names(root)
        annotated = {
            os.path.splitext(path)[0] for reading in readings.values() for path in reading.table.paths
        }
        # images without annotations are reported with their split
        annotated |= {name for reading in readings.values() for name in reading.unannotated}
        unused = [
            path
            for name, path in images.items()
            if name not in annotated and not (self.base / "Annotations" / f"{name}.xml").is_file()
        ]
        self.dropped.add("images", len(unused), "they have no file in Annotations", len(images), root, unused)


def holds_images(folder: Path) -> bool:
    return folder.is_dir() and any(is_image(path.name) for path in folder.iterdir())
