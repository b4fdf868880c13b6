"""Which sounds lie in a folder, of which class and split."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runner.data.class_folders import scan_class_folders, split_of_folder
from runner.data.dropped import DroppedSamples
from runner.data.labels import merge_spellings, merged_spellings
from runner.errors import DataError

__all__ = ["Layout", "SoundList", "sound_files"]

log = logging.getLogger(__name__)

SUFFIXES = {".wav", ".flac", ".ogg", ".aiff", ".aif", ".mp3"}
SPLITS = ("train", "val", "test")


@dataclass
class SoundList:
    """Labelled sound files of a folder.

    Attributes:
        paths: relative to the folder, sorted.
        targets: class id of each.
        splits: positions in ``paths``.
    """

    paths: list[str]
    targets: list[int]
    class_names: list[str]
    splits: dict[str, list[int]]


def sound_files(path: Path) -> list[Path]:
    """A file, or all sounds below a folder, sorted.

    Raises:
        DataError: there is nothing there.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"there is no file or folder {path}.")
    found = sorted(file for file in path.rglob("*") if is_sound(file) and visible(file, path))
    if not found:
        raise DataError(f"{path} holds no sound files ({', '.join(sorted(SUFFIXES))}).")
    return found


def is_sound(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def visible(file: Path, root: Path) -> bool:
    return not any(part.startswith(".") for part in file.relative_to(root).parts)


@dataclass(frozen=True)
class Layout:
    """How a folder says what its sounds are; see ``AudioFolderDataModule``."""

    file_pattern: str | None = None
    test_pattern: str | None = None

    def __post_init__(self) -> None:
        for name, pattern in (("file_pattern", self.file_pattern), ("test_pattern", self.test_pattern)):
            try:
                groups = re.compile(pattern or "").groupindex
            except re.error as error:
                raise DataError(f"{name}={pattern!r} is no regular expression: {error}.") from None
            if name == "file_pattern" and pattern and "label" not in groups:
                raise DataError(f"file_pattern={pattern!r} has no group that is the class: (?P<label>…).")

    def find(self, root: Path, dropped: DroppedSamples | None = None) -> SoundList:
        """Lists the sounds of a folder.

        Args:
            root: the folder.
            dropped: receives the files that are not used.

        Raises:
            DataError: no sounds, fewer than two classes, or a split that lacks a class or has one of its own.
        """
        dropped = DroppedSamples() if dropped is None else dropped
        sound_files(root)  # raises where there are none
        entries = self.from_names(root) if self.file_pattern else self.from_folders(root, dropped)
        if not entries:
            raise DataError(f"{root} holds sounds, but none in a class folder. Expected ROOT/CLASS/SOUND.")
        names = merge_spellings(label for _, label, _ in entries)
        for name, spellings in merged_spellings(names).items():
            log.warning("%s: the labels %s are one class, %r.", root, ", ".join(map(repr, spellings)), name)
        entries = [(path, names[label], split) for path, label, split in entries]
        class_names = sorted({label for _, label, split in entries if split == "train"})
        if len(class_names) < 2:
            raise DataError(
                f"{root} has sounds of {len(class_names)} class{'es' * (len(class_names) != 1)} to train on "
                f"({', '.join(class_names)}); expected two or more, each in a folder of its own."
            )
        self.compare(entries, class_names, root)
        splits: dict[str, list[int]] = {split: [] for split in SPLITS}
        for position, (_, _, split) in enumerate(entries):
            splits[split].append(position)
        targets = [class_names.index(label) for _, label, _ in entries]
        return SoundList([path for path, *_ in entries], targets, class_names, splits)

    def from_folders(self, root: Path, dropped: DroppedSamples) -> list[tuple[str, str, str]]:
        """``(path, class, split)`` by the folders.

        ``test_pattern`` selects from what the folders leave for training.
        """
        files = scan_class_folders(root, "sounds", is_sound, dropped)
        return [(str(file.path), file.label, self.split_of(file.path, file.split)) for file in files]

    def from_names(self, root: Path) -> list[tuple[str, str, str]]:
        """``(path, class, split)`` by the files' names; split folders are respected."""
        files = sorted(path.relative_to(root) for path in sound_files(root))
        folders = {file.parts[0]: split_of_folder(file.parts[0]) for file in files if len(file.parts) > 1}
        folders = folders if "train" in folders.values() else {}
        entries = []
        for file in files:
            match = re.search(self.file_pattern or "", file.name)
            if match is None:
                raise DataError(
                    f"{root / file}: the name does not fit data.file_pattern={self.file_pattern!r}."
                )
            entries.append((str(file), match["label"], self.split_of(file, folders.get(file.parts[0]))))
        return entries

    def split_of(self, file: Path, split: str | None) -> str:
        if split in (None, "train") and self.test_pattern and re.search(self.test_pattern, file.name):
            return "test"
        return split or "train"

    @staticmethod
    def compare(entries: Iterable[tuple[str, str, str]], class_names: list[str], root: Path) -> None:
        for split in ("val", "test"):
            there = {label for _, label, of in entries if of == split}
            lacking, unknown = sorted({*class_names} - there), sorted(there - {*class_names})
            if there and lacking:
                raise DataError(f"{root}: {split} has no sound of {', '.join(lacking)}, which train has.")
            if unknown:
                raise DataError(f"{root}: {split} has the classes {', '.join(unknown)}, which train has not.")
