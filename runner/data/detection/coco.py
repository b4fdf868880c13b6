"""COCO's JSON: one file per split, ``instances_*.json``, and the images in folders.

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
from runner.data.detection.layout import (
    broken_link,
    link_problem,
    split_meant,
)
from runner.data.detection.source import Reading
from runner.data.images.tree import files_below, is_image
from runner.errors import DataError

__all__ = ["CocoDataModule"]

OTHER_KINDS = ("captions", "person_keypoints", "image_info", "panoptic", "stuff")


class CocoDataModule(AnnotatedImagesDataModule):
    """Boxes in COCO's JSON, found by the names of files and folders.

    Annotation files are looked for in ``ROOT``, ``ROOT/annotations`` and in split folders (``train/*.json``);
    images in ``ROOT/images/SPLIT``, ``ROOT/SPLIT``, ``ROOT/images``, ``ROOT``, and beside the annotation
    file, where ``SPLIT`` is that of the file's name (``train2017``). A missing val split is split off from
    train.

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
        """Returns the annotation file of each split, and the problems."""
        problems, found = [], {}
        for split, name in self.files.items():
            if name is not None and not (self.folder / name).is_file():
                problems.append(f"data.{split}={name}: there is no such file in {self.folder}.")
            elif name is not None:
                found[split] = self.folder / name
        for split, paths in candidates(self.folder).items():
            if split in found:
                continue
            if len(paths) > 1:
                names = ", ".join(str(path.relative_to(self.folder)) for path in paths)
                problems.append(f"{self.folder} has several annotation files for {split}: {names}. "
                                f"Choose one with data.{split}=FILE.")  # fmt: skip
            found[split] = paths[0]
        if "train" not in found and not problems:
            lying = [str(path.relative_to(self.folder)) for path in islice(self.folder.rglob("*.json"), 5)]
            problems.append(
                f"data.root={self.root}: no annotations to train on were found, but "
                f"{', '.join(lying) or 'no JSON'}. "
                "Expected annotations/instances_train*.json; or name the file with data.train=FILE."
            )
        return found, problems

    def read(self) -> tuple[dict[str, Reading], list[str]]:
        files, problems = self.find_files()
        if problems:
            raise DataError("\n".join(problems))
        found = {split: read_coco(file, self.image_places(file, split)) for split, file in files.items()}
        categories = found["train"].categories
        for split, content in found.items():
            is_bare = split == "test" and not len(content.reading.table.boxes)
            if content.categories != categories and not is_bare:
                raise DataError(
                    f"{files[split]} has other categories than {files['train']}: "
                    f"{difference(content.categories, categories)}. All splits need the same ids and names."
                )
        self.notices = [f"{files['train']}: {notice}." for notice in merged_notices(categories)]
        return {split: content.reading for split, content in found.items()}, list(
            dict.fromkeys(categories.values())
        )

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

    def image_places(self, file: Path, split: str) -> list[Path]:
        """Returns the candidate folders of a file's images, most likely first."""
        stem = file.stem.removeprefix("instances_")
        if self.images is not None:
            base = self.folder / self.images
            return [base / stem, base / split, base]
        images = self.folder / "images"
        places = [images / stem, self.folder / stem, images / split, self.folder / split, images]
        return [*places, file.parent, self.folder]


def candidates(folder: Path) -> dict[str, list[Path]]:
    """Returns the JSON files by split. A single file without a split in its name is for train."""
    split_folders = [
        entry for entry in sorted(folder.iterdir()) if entry.is_dir() and split_meant(entry.name)
    ]
    found: dict[str, list[Path]] = {}
    nameless = []
    for place in (folder, folder / "annotations", *split_folders):
        for path in sorted(place.glob("*.json")) if place.is_dir() else ():
            if path.stem.startswith(OTHER_KINDS):
                continue
            split = split_meant(path.stem) or (split_meant(place.name) if place in split_folders else None)
            if split is None:
                nameless.append(path)
            else:
                found.setdefault(split, []).append(path)
    for split, paths in found.items():
        instances = [path for path in paths if path.stem.startswith("instances")]
        found[split] = instances or paths
    if not found and nameless:
        found["train"] = nameless
    return found


def difference(found: dict[int, str], expected: dict[int, str]) -> str:
    wrong = [f"{key} is {found.get(key)!r}, not {expected.get(key)!r}" for key in sorted({*found, *expected})
             if found.get(key) != expected.get(key)]  # fmt: skip
    return "; ".join(wrong[:5]) + ("; …" if len(wrong) > 5 else "")
