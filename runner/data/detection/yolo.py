"""YOLO's text files, one line per box, and their YAML config."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import yaml

from runner.data.class_folders import split_of_folder
from runner.data.detection.class_names import merge_ids, merged_notices
from runner.data.detection.folder import AnnotatedImagesDataModule, AnnotatedImagesOptions
from runner.data.detection.layout import broken_link, find_path, link_problem, portable_path, split_meant
from runner.data.detection.source import BoxTable, Reading
from runner.data.images.tree import entries, files_below, is_image
from runner.errors import DataError

__all__ = ["YoloDataModule", "find_configs", "find_names", "list_images", "parse_line", "read_labels"]


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
    """The image that a line of a list names, relative to one of ``bases``, of which the last is the
    default.
    """
    found = ((base, find_path(base, line)) for base in bases)
    return next((base / path for base, path in found if path), bases[-1] / portable_path(line))


def read_labels(file: Path, corrupt: list[str]) -> list[tuple[int, tuple[float, float, float, float]]] | None:
    """Reads classes and boxes of one image; None without a file. Unreadable lines are appended to
    ``corrupt``.
    """
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
    """Class and box xyxy, as parts of the image, of ``class x y width height`` or ``class x1 y1 x2 y2 x3 y3
    …``.

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


SPLITS = ("train", "val", "test")


class YoloDataModule(AnnotatedImagesDataModule):
    """Boxes in text files beside the images: ``images/train/a.jpg`` has those of ``labels/train/a.txt``.

    The YAML file in the root (``data.yaml``, ``config.yaml`` …) names the classes and says where the splits
    are: folders, or text files that list images. Without ``train`` in it, folders of ``images`` are taken by
    their names. An image without a text file is one without boxes. Polygons become the boxes around them.

    Args:
        root: the folder.
        config: the YAML file, relative to the root, where there are several.
        images: the folder of images, relative to the root, where it is not ``images``.

    The other arguments are those of AnnotatedImagesDataModule.
    """

    def __init__(
        self,
        root: str,
        *,
        config: str | None = None,
        images: str | None = None,
        **options: Unpack[AnnotatedImagesOptions],
    ) -> None:
        super().__init__(root=root, **options)
        self.config = config
        self.images = images

    def layout_problems(self) -> list[str]:
        try:
            config = self.read_config()
            self.places(config)
        except DataError as error:
            return [str(error)]
        return []

    def read_config(self) -> dict[str, Any]:
        """Returns the content of the YAML file, with ``names`` as a list.

        Raises:
            DataError: there is none, or several, or it names no classes.
        """
        files = [self.folder / self.config] if self.config else find_configs(self.folder)
        if not files and (names := find_names(self.folder)):
            return {"names": names, "file": self.folder / "classes.txt"}
        if len(files) != 1 or not files[0].is_file():
            there = ", ".join(file.name for file in files) or "none"
            raise DataError(
                f"{self.folder}: expected one YAML file with the names of the classes, found {there}. "
                "Name it with data.config=FILE; a classes.txt with a name a line does as well."
            )
        try:
            content = yaml.safe_load(files[0].read_text(encoding="utf-8-sig"))
            names = content["names"]
            if isinstance(names, dict):
                if sorted(names) != list(range(len(names))):
                    raise ValueError(f"the ids of its names are not 0 to {len(names) - 1}")
                names = [names[key] for key in sorted(names)]
            if not names or isinstance(names, str):
                raise ValueError("names is one word, expected a list" if names else "it names no class")
            check_count(content.get("nc"), names)
            return content | {"names": [str(name) for name in names], "file": files[0]}
        except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
            raise DataError(
                f"{files[0]} is not a YOLO data file ({type(error).__name__}: {error}). Expected `names:` "
                "with the "
                "classes, and `train:` and `val:` with folders of images."
            ) from error

    def places(self, config: dict[str, Any]) -> dict[str, list[Path]]:
        """Folders or list files of each split.

        Raises:
            DataError: they are not there.
        """
        given = dict.fromkeys(SPLITS)
        for key, value in config.items():
            split = split_of_folder(str(key))
            if split and value and given[split] and given[split] != value:
                raise DataError(
                    f"{config['file']} names the {split} split twice: {given[split]!r} and {value!r}. "
                    "Remove one."
                )
            if split and value:
                given[split] = value
        if self.images is not None or not given["train"]:
            return self.places_by_name(given)
        base = config["file"].parent / str(config.get("path") or ".")
        bases = [base, config["file"].parent, self.folder]
        places = {}
        for split, given_places in given.items():
            given_places = [given_places] if isinstance(given_places, str) else given_places or []
            places[split] = [self.place(bases, str(entry)) for entry in given_places]
        return {split: found for split, found in places.items() if found}

    def place(self, bases: list[Path], entry: str) -> Path:
        names = dict.fromkeys([entry, portable_path(entry)])
        tried = [base / name for name in names for base in bases]
        tried += [self.folder / name.lstrip("./") for name in names]
        found = next((path for path in tried if path.exists()), None)
        if found is not None:
            return found
        link = broken_link(self.folder / "images")
        hint = f" {link_problem(self.folder / 'images', link)}" if link else ""
        raise DataError(f"The data file says {entry!r}, but there is no {tried[0]}.{hint}")

    def places_by_name(self, given: dict[str, Any]) -> dict[str, list[Path]]:
        images = self.folder / (self.images or "images")
        if not images.is_dir() and self.images is None and (places := self.split_folders()):
            images = self.folder
        elif not images.is_dir():
            raise DataError(f"{images} is no folder. Say where the images are with data.images=FOLDER.")
        else:
            meant = {entry: split_meant(entry.name) for entry in sorted(images.iterdir()) if entry.is_dir()}
            places = {split: [path for path, of in meant.items() if of == split] for split in SPLITS}
            places = {split: found for split, found in places.items() if found} or {"train": [images]}
        if "train" not in places:
            raise DataError(f"{images} has {', '.join(places)} but no train folder.")
        return places

    def split_folders(self) -> dict[str, list[Path]]:
        """``ROOT/train/images``, ``ROOT/valid/images`` …"""
        places: dict[str, list[Path]] = {}
        for entry in sorted(self.folder.iterdir()):
            split = split_of_folder(entry.name)
            if split and (entry / "images").is_dir():
                places.setdefault(split, []).append(entry / "images")
        return places

    def read(self) -> tuple[dict[str, Reading], list[str]]:
        config = self.read_config()
        names, problems = merge_ids(dict(enumerate(config["names"])))
        if problems:
            raise DataError("\n".join(f"{config['file']}: {problem}" for problem in problems))
        self.notices = [f"{config['file']}: {notice}." for notice in merged_notices(names)]
        class_names = list(dict.fromkeys(names.values()))
        labels = np.array([class_names.index(name) for name in names.values()])
        return {
            split: self.reading(split, found, labels) for split, found in self.places(config).items()
        }, class_names

    def reading(self, split: str, places: list[Path], labels: np.ndarray) -> Reading:
        """One split; ``labels`` ``(number of ids,)`` is the class of each id in the files."""
        images = [image for place in places for image in list_images(place, self.folder)]
        if not images:
            raise DataError(f"There are no images in {', '.join(map(str, places))}.")
        rows, corrupt, num_files = [], [], 0
        for place, image in enumerate(images):
            found = read_labels(self.label_file(image), corrupt)
            num_files += found is not None
            rows += [(place, *box, label) for label, box in found or ()]
        if not num_files and split != "test":
            raise DataError(
                f"None of {len(images)} images has a text file: {self.label_file(images[0])} and so on."
            )
        columns = np.array(rows, dtype=np.float64).reshape(-1, 6)
        ids = columns[:, 5]
        known = (ids >= 0) & (ids < len(labels))
        unknown = [f"{label:g}" for label in np.unique(ids[~known])]
        classes = np.where(known, labels[np.where(known, ids, 0).astype(int)], -1)
        root = os.path.abspath(self.folder)
        paths = [os.path.relpath(image, root) for image in images]
        table = BoxTable.build(paths, columns[:, 0], columns[:, 1:5], classes, relative=True)
        return Reading(table, root, corrupt, unknown)

    def unused_files(self, readings: dict[str, Reading]) -> None:
        images = {
            os.path.normpath(os.path.join(reading.root, path))
            for reading in readings.values()
            for path in reading.table.paths
        }
        self._unlisted_images(images)
        used = {os.path.normpath(self.label_file(Path(image))) for image in images}
        for folder in sorted({os.path.dirname(file) for file in used}):
            files = [file for file in entries(folder) if is_label_file(file)] if os.path.isdir(folder) else []
            unused = [file.name for file in files if os.path.normpath(file.path) not in used]
            reason = "no image of a split belongs to them"
            self.dropped.add("label files", len(unused), reason, len(files), folder, unused)

    def _unlisted_images(self, images: set[str]) -> None:
        """Images beside those of the splits, or in other folders of ``images``."""
        base = os.path.abspath(self.folder / (self.images or "images"))
        found = {file.path for file in files_below(base)} if os.path.isdir(base) else set()
        folders = {os.path.dirname(image) for image in images if os.path.isdir(os.path.dirname(image))}
        found |= {file.path for folder in folders for file in entries(folder)}
        found = {os.path.normpath(path) for path in found if is_image(path)}
        unused = sorted(os.path.relpath(path, base) for path in found - images)
        self.dropped.add("images", len(unused), "they belong to no split", len(found), base, unused)

    def label_file(self, image: Path) -> Path:
        """``images`` in the path, the last one, becomes ``labels``."""
        if self.images is not None:
            inside = image.relative_to(os.path.abspath(self.folder / self.images))
            return (self.folder / "labels" / inside).with_suffix(".txt")
        parts = list(image.parts)
        if "images" in parts:
            parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
        return Path(*parts).with_suffix(".txt")


def check_count(count: Any, names: list[Any]) -> None:
    """
    Raises:
        ValueError: ``nc`` is given and is not the number of names.
    """
    if count is not None and float(count) != len(names):
        shown = ", ".join(map(str, names[:8])) + (", …" if len(names) > 8 else "")
        raise ValueError(f"nc is {count}, but names has {len(names)} classes: {shown}. Correct one of them")


def is_label_file(file: os.DirEntry) -> bool:
    return file.is_file() and file.name.lower().endswith(".txt") and file.name.lower() != "classes.txt"
