"""Which sounds lie in a folder, of which class and split."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runner.errors import DataError

__all__ = ["Layout", "SoundList", "sound_files"]

SUFFIXES = {".wav", ".flac", ".ogg", ".aiff", ".aif", ".mp3"}
SPLITS = ("train", "val", "test")


@dataclass
class SoundList:
    """
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
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and visible(file, path))
    if not found:
        raise DataError(f"{path} holds no sound files ({', '.join(sorted(SUFFIXES))}).")
    return found


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

    def find(self, root: Path) -> SoundList:
        """
        Raises:
            DataError: no sounds, fewer than two classes, or a split that lacks a class or has one of its own.
        """
        files = [file.relative_to(root) for file in sound_files(root)]
        entries = [(str(file), *self.label_and_split(file, root)) for file in files]
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

    def label_and_split(self, file: Path, root: Path) -> tuple[str, str]:
        split = "test" if self.test_pattern and re.search(self.test_pattern, file.name) else "train"
        if self.file_pattern:
            match = re.search(self.file_pattern, file.name)
            if match is None:
                raise DataError(f"{root / file}: the name does not fit data.file_pattern={self.file_pattern!r}.")
            return match["label"], split
        parts = file.parts
        if parts[0] in SPLITS and len(parts) > 2:
            return parts[1], parts[0]
        if len(parts) < 2:
            raise DataError(f"{root / file} lies in no class's folder. Expected ROOT/CLASS/SOUND.")
        return parts[0], split

    @staticmethod
    def compare(entries: Iterable[tuple[str, str, str]], class_names: list[str], root: Path) -> None:
        for split in ("val", "test"):
            there = {label for _, label, of in entries if of == split}
            lacking, unknown = sorted({*class_names} - there), sorted(there - {*class_names})
            if there and lacking:
                raise DataError(f"{root}: {split} has no sound of {', '.join(lacking)}, which train has.")
            if unknown:
                raise DataError(f"{root}: {split} has the classes {', '.join(unknown)}, which train has not.")
