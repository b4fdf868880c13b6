"""Data module of annotations in COCO's JSON: one file per split, ``instances_*.json``, and image folders.

Lin et al., "Microsoft COCO: common objects in context" (2014), https://cocodataset.org/#format-data
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Unpack

from runner.data.detection.class_names import merged_notices
from runner.data.detection.coco_file import read_coco
from runner.data.detection.folder import AnnotatedImagesDataModule, AnnotatedImagesOptions
from runner.data.detection.layout import broken_link, link_problem, split_meant
from runner.data.detection.source import Reading
from runner.data.images.tree import files_below, is_image
from runner.errors import DataError

__all__ = ["CocoDataModule"]

OTHER_KINDS = ("captions", "person_keypoints", "image_info", "panoptic", "stuff")


class CocoDataModule(AnnotatedImagesDataModule):
    """Images with boxes in COCO's JSON; files are found by their names.

    Annotation files are searched for in ``ROOT``, ``ROOT/annotations`` and in split folders
    (``train/*.json``); images in ``ROOT/images/SPLIT``, ``ROOT/SPLIT``, ``ROOT/images``, ``ROOT``, and beside
    the annotation file, where ``SPLIT`` is that of the file's name (``train2017``). A missing val split is
    split off from train.

    Args:
        root: the folder.
        train, val, test: annotation files, relative to the root, if they cannot be found by their names.
        images: the folder of images, relative to the root, if it cannot be found by its name.

    The other arguments are those of AnnotatedImagesDataModule.
    """

    def __init__(
        self,
        root: str,
        *,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        images: str | None = None,
        **options: Unpack[AnnotatedImagesOptions],
    ) -> None:
        super().__init__(root=root, **options)
        self.files = {"train": train, "val": val, "test": test}
        self.images = images

    def layout_problems(self) -> list[str]:
        link = broken_link(self.folder / "images") if self.images is None else None
        problems = [link_problem(self.folder / "images", link)] if link else []
        if self.images is not None and not (self.folder / self.images).is_dir():
            problems.append(f"data.images={self.images}: there is no folder {self.folder / self.images}.")
        return problems + self.find_files()[1]

    def find_files(self) -> tuple[dict[str, Path], list[str]]:
        """Return the annotation file of each split, and the problems."""
        problems: list[str] = []
        files: dict[str, Path] = {}
        for split, name in self.files.items():
            if name is not None and not (self.folder / name).is_file():
                problems.append(f"data.{split}={name}: there is no such file in {self.folder}.")
            elif name is not None:
                files[split] = self.folder / name
        for split, paths in candidates(self.folder).items():
            if split in files:
                continue
            if len(paths) > 1:
                names = ", ".join(str(path.relative_to(self.folder)) for path in paths)
                problems.append(f"{self.folder} has several annotation files for {split}: {names}. "
                                f"Choose one with data.{split}=FILE.")  # fmt: skip
            files[split] = paths[0]
        if "train" not in files and not problems:
            others = [str(path.relative_to(self.folder)) for path in islice(self.folder.rglob("*.json"), 5)]
            problems.append(
                f"data.root={self.root} has no training annotations, but {', '.join(others) or 'no JSON'}. "
                "Expected annotations/instances_train*.json; or name the file with data.train=FILE."
            )
        return files, problems

    def read(self) -> tuple[dict[str, Reading], list[str]]:
        files, problems = self.find_files()
        if problems:
            raise DataError("\n".join(problems))
        contents = {split: read_coco(file, self.image_folders(file, split)) for split, file in files.items()}
        categories = contents["train"].categories
        for split, content in contents.items():
            is_bare = split == "test" and not len(content.reading.table.boxes)
            if content.categories != categories and not is_bare:
                raise DataError(
                    f"{files[split]} has other categories than {files['train']}: "
                    f"{difference(content.categories, categories)}. All splits need the same ids and names."
                )
        self.notices = [f"{files['train']}: {notice}." for notice in merged_notices(categories)]
        readings = {split: content.reading for split, content in contents.items()}
        return readings, list(dict.fromkeys(categories.values()))

    def unused_files(self, readings: dict[str, Reading]) -> None:
        named: dict[str, set[str]] = {}
        for reading in readings.values():
            root = os.path.abspath(reading.root)
            named.setdefault(root, set()).update(os.path.normpath(path) for path in reading.table.paths)
        everything = {os.path.join(root, path) for root, paths in named.items() for path in paths}
        for root in named:
            files = [os.path.abspath(entry.path) for entry in files_below(root) if is_image(entry.name)]
            unused = sorted(os.path.relpath(file, root) for file in files if file not in everything)
            self.dropped.add("images", len(unused), "no annotation file lists them", len(files), root, unused)

    def image_folders(self, file: Path, split: str) -> list[Path]:
        """Return the candidate folders of a file's images, most likely first."""
        stem = file.stem.removeprefix("instances_")
        if self.images is not None:
            base = self.folder / self.images
            return [base / stem, base / split, base]
        images = self.folder / "images"
        folders = [images / stem, self.folder / stem, images / split, self.folder / split, images]
        return [*folders, file.parent, self.folder]


def candidates(folder: Path) -> dict[str, list[Path]]:
    """Return the JSON files of each split; files without a split in their names are for train."""
    split_folders = [
        entry for entry in sorted(folder.iterdir()) if entry.is_dir() and split_meant(entry.name)
    ]
    files: dict[str, list[Path]] = {}
    nameless = []
    for parent in (folder, folder / "annotations", *split_folders):
        for path in sorted(parent.glob("*.json")) if parent.is_dir() else ():
            if path.stem.startswith(OTHER_KINDS):
                continue
            split = split_meant(path.stem) or (split_meant(parent.name) if parent in split_folders else None)
            if split is None:
                nameless.append(path)
            else:
                files.setdefault(split, []).append(path)
    for split, paths in files.items():
        instances = [path for path in paths if path.stem.startswith("instances")]
        files[split] = instances or paths
    if not files and nameless:
        files["train"] = nameless
    return files


def difference(names: dict[int, str], expected: dict[int, str]) -> str:
    wrong = [f"{key} is {names.get(key)!r}, not {expected.get(key)!r}" for key in sorted({*names, *expected})
             if names.get(key) != expected.get(key)]  # fmt: skip
    return "; ".join(wrong[:5]) + ("; …" if len(wrong) > 5 else "")
