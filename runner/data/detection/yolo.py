"""Data module of annotations in YOLO's text files, one line per box, and their YAML config."""

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
    """Return the YAML files of a folder; only ``data.yaml`` if it is among several."""
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    preferred = [file for file in files if file.stem in ("data", "dataset", "config")]
    return preferred[:1] or files


def find_names(folder: Path) -> list[str]:
    """Return the class names in ``classes.txt``, one per line; empty without such a file."""
    for file in (folder / "classes.txt", folder / "labels" / "classes.txt"):
        if file.is_file():
            return [
                line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()
            ]
    return []


def list_images(path: Path, root: Path) -> list[Path]:
    """Return the absolute paths of the images in a folder or in a list file.

    Symbolic links are not resolved, because the labels are beside the link and not beside its target.

    Args:
        path: a folder, whose images are sorted, or a text file with one image per line.
        root: the folder that listed paths may be relative to.
    """
    if path.is_dir():
        files = [entry.path for entry in files_below(path) if is_image(entry.name)]
        return sorted(Path(os.path.abspath(file)) for file in files)
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    return [Path(os.path.abspath(listed_image(line, (path.parent, root)))) for line in lines]


def listed_image(line: str, bases: Sequence[Path]) -> Path:
    """Return the image named in a line of a list, relative to one of ``bases``; the last is the default."""
    candidates = ((base, find_path(base, line)) for base in bases)
    return next((base / path for base, path in candidates if path), bases[-1] / portable_path(line))


def read_labels(file: Path, corrupt: list[str]) -> list[tuple[int, tuple[float, float, float, float]]] | None:
    """Read classes and boxes of one image; None without a file.

    Args:
        file: the text file.
        corrupt: receives the lines that cannot be read, with the reason.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        corrupt.append(f"{file} ({error})")
        return []
    labels = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                labels.append(parse_line(line))
            except ValueError as error:
                corrupt.append(f"{file.name} line {number} ({error})")
    return labels


def parse_line(line: str) -> tuple[int, tuple[float, float, float, float]]:
    """Return class and box xyxy, as parts of the image, of a line.

    Args:
        line: ``class x y width height``, or ``class x1 y1 x2 y2 x3 y3 …`` for a polygon.

    Raises:
        ValueError: the line has another format.
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
    """Images with boxes in text files: ``labels/train/a.txt`` has the boxes of ``images/train/a.jpg``.

    The YAML file in the root (``data.yaml``, ``config.yaml`` …) names the classes and the splits: folders, or
    text files that list images. If it does not name ``train``, the splits are the folders of ``images`` by
    their names. An image without a text file has no boxes. Polygons are converted to boxes.

    Args:
        root: the folder.
        config: the YAML file, relative to the root, if there are several.
        images: the folder of images, relative to the root, if it is not ``images``.

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
            self.image_sources(config)
        except DataError as error:
            return [str(error)]
        return []

    def read_config(self) -> dict[str, Any]:
        """Return the content of the YAML file, with ``names`` as a list.

        Raises:
            DataError: there is no such file, or several, or it names no classes.
        """
        files = [self.folder / self.config] if self.config else find_configs(self.folder)
        if not files and (names := find_names(self.folder)):
            return {"names": names, "file": self.folder / "classes.txt"}
        if len(files) != 1 or not files[0].is_file():
            existing = ", ".join(file.name for file in files) or "none"
            raise DataError(
                f"{self.folder}: expected one YAML file with the names of the classes, found {existing}. "
                "Name it with data.config=FILE, or add a classes.txt with one name per line."
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
                "with the classes, and `train:` and `val:` with folders of images."
            ) from error

    def image_sources(self, config: dict[str, Any]) -> dict[str, list[Path]]:
        """Return the folders or list files of each split.

        Raises:
            DataError: one of them does not exist.
        """
        entries_of_split: dict[str, Any] = dict.fromkeys(SPLITS)
        for key, value in config.items():
            split = split_of_folder(str(key))
            if not split or not value:
                continue
            earlier = entries_of_split[split]
            if earlier and earlier != value:
                raise DataError(
                    f"{config['file']} names the {split} split twice: {earlier!r} and {value!r}. Remove one."
                )
            entries_of_split[split] = value
        if self.images is not None or not entries_of_split["train"]:
            return self.folders_by_name()
        base = config["file"].parent / str(config.get("path") or ".")
        bases = [base, config["file"].parent, self.folder]
        sources = {}
        for split, value in entries_of_split.items():
            listed = [value] if isinstance(value, str) else value or []
            sources[split] = [self.existing_path(bases, str(entry)) for entry in listed]
        return {split: paths for split, paths in sources.items() if paths}

    def existing_path(self, bases: list[Path], entry: str) -> Path:
        """Return the folder or list file of an entry of the data file, relative to one of ``bases``.

        Raises:
            DataError: it does not exist.
        """
        names = dict.fromkeys([entry, portable_path(entry)])
        tried = [base / name for name in names for base in bases]
        tried += [self.folder / name.lstrip("./") for name in names]
        existing = next((path for path in tried if path.exists()), None)
        if existing is not None:
            return existing
        link = broken_link(self.folder / "images")
        hint = f" {link_problem(self.folder / 'images', link)}" if link else ""
        raise DataError(f"The data file names {entry!r}, but {tried[0]} does not exist.{hint}")

    def folders_by_name(self) -> dict[str, list[Path]]:
        """Return the image folders of each split by their names.

        Raises:
            DataError: the folder of images does not exist, or has no train folder.
        """
        images = self.folder / (self.images or "images")
        if not images.is_dir() and self.images is None and (folders := self.split_folders()):
            images = self.folder
        elif not images.is_dir():
            raise DataError(
                f"{images} is not a folder. Give the folder of the images with data.images=FOLDER."
            )
        else:
            splits = {entry: split_meant(entry.name) for entry in sorted(images.iterdir()) if entry.is_dir()}
            by_split = {split: [path for path, of in splits.items() if of == split] for split in SPLITS}
            folders = {split: paths for split, paths in by_split.items() if paths} or {"train": [images]}
        if "train" not in folders:
            raise DataError(f"{images} has {', '.join(folders)} but no train folder.")
        return folders

    def split_folders(self) -> dict[str, list[Path]]:
        """Return the folders ``ROOT/train/images``, ``ROOT/valid/images`` and the like, by split."""
        folders: dict[str, list[Path]] = {}
        for entry in sorted(self.folder.iterdir()):
            split = split_of_folder(entry.name)
            if split and (entry / "images").is_dir():
                folders.setdefault(split, []).append(entry / "images")
        return folders

    def read(self) -> tuple[dict[str, Reading], list[str]]:
        config = self.read_config()
        names, problems = merge_ids(dict(enumerate(config["names"])))
        if problems:
            raise DataError("\n".join(f"{config['file']}: {problem}" for problem in problems))
        self.notices = [f"{config['file']}: {notice}." for notice in merged_notices(names)]
        class_names = list(dict.fromkeys(names.values()))
        labels = np.array([class_names.index(name) for name in names.values()])
        sources = self.image_sources(config)
        return {split: self.reading(split, paths, labels) for split, paths in sources.items()}, class_names

    def reading(self, split: str, sources: list[Path], labels: np.ndarray) -> Reading:
        """Return the boxes of a split.

        Args:
            split: name of the split.
            sources: folders of images, or files that list them.
            labels: class of each id in the files, ``(number of ids,)``.

        Raises:
            DataError: there are no images, or no text files.
        """
        images = [image for source in sources for image in list_images(source, self.folder)]
        if not images:
            raise DataError(f"There are no images in {', '.join(map(str, sources))}.")
        rows: list[tuple[float, ...]] = []
        corrupt: list[str] = []
        num_files = 0
        for position, image in enumerate(images):
            annotations = read_labels(self.label_file(image), corrupt)
            num_files += annotations is not None
            rows += [(position, *box, label) for label, box in annotations or ()]
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
        """Add images beside those of the splits, or in other folders of ``images``, to ``dropped``."""
        base = os.path.abspath(self.folder / (self.images or "images"))
        files = {file.path for file in files_below(base)} if os.path.isdir(base) else set()
        folders = {os.path.dirname(image) for image in images if os.path.isdir(os.path.dirname(image))}
        files |= {file.path for folder in folders for file in entries(folder)}
        existing = {os.path.normpath(path) for path in files if is_image(path)}
        unused = sorted(os.path.relpath(path, base) for path in existing - images)
        self.dropped.add("images", len(unused), "they belong to no split", len(existing), base, unused)

    def label_file(self, image: Path) -> Path:
        """Return the text file of an image: the last ``images`` in the path is replaced by ``labels``."""
        if self.images is not None:
            inside = image.relative_to(os.path.abspath(self.folder / self.images))
            return (self.folder / "labels" / inside).with_suffix(".txt")
        parts = list(image.parts)
        if "images" in parts:
            parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
        return Path(*parts).with_suffix(".txt")


def check_count(count: Any, names: list[Any]) -> None:
    """Check the number of classes.

    Raises:
        ValueError: ``nc`` is given and is not the number of names.
    """
    if count is not None and float(count) != len(names):
        shown = ", ".join(map(str, names[:8])) + (", …" if len(names) > 8 else "")
        raise ValueError(f"nc is {count}, but names has {len(names)} classes: {shown}. Correct one of them")


def is_label_file(file: os.DirEntry) -> bool:
    return file.is_file() and file.name.lower().endswith(".txt") and file.name.lower() != "classes.txt"
