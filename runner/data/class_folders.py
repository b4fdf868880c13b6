"""Files in class folders, with or without split folders above them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.data.dropped import DroppedSamples
from runner.errors import DataError

__all__ = ["SPLIT_NAMES", "ClassFile", "scan_class_folders", "split_layout", "split_of_folder"]

SPLIT_NAMES = {
    "train": ("train", "training", "train_set", "training_set", "train_data", "training_data"),
    "val": (
        "val",
        "valid",
        "validation",
        "val_set",
        "validation_set",
        "val_data",
        "validation_data",
        "dev",
        "eval",
        "evaluation",
    ),
    "test": ("test", "testing", "test_set", "test_data"),
}
SPLIT_BY_NAME = {name: split for split, names in SPLIT_NAMES.items() for name in names}


def split_of_folder(name: str) -> str | None:
    """Returns the split that a folder's name stands for: ``train``, ``val``, ``test``, or None.

    Case is ignored, and ``-`` and spaces are read as ``_``.
    """
    return SPLIT_BY_NAME.get(name.strip().lower().replace("-", "_").replace(" ", "_"))


SYSTEM_FOLDERS = ("__MACOSX", "__pycache__")


@dataclass(frozen=True)
class ClassFile:
    """One sample of a folder.

    Attributes:
        path: relative to the root.
        label: the name of the class folder.
        split: ``train``, ``val`` or ``test``; None outside of split folders.
    """

    path: Path
    label: str
    split: str | None


def scan_class_folders(
    root: Path, what: str, is_sample: Callable[[Path], bool], dropped: DroppedSamples
) -> list[ClassFile]:
    """Lists the files of ``ROOT/CLASS/…/FILE``, or of the same layout below split folders, sorted by path.

    A folder named like a split is one if it holds class folders: with a training folder always, without one
    if the classes beside it have the same names. All other files are reported as left out.

    Args:
        root: the folder to scan.
        what: plural noun for the samples in messages: ``sounds``.
        is_sample: whether a file is a sample, judged by its name.
        dropped: receives the files that are not used.

    Raises:
        DataError: two folders stand for the same split.
    """
    splits = split_layout(root, is_sample)
    is_split_layout = "train" in splits
    files: list[ClassFile] = []
    unused: list[Path] = []
    loose: list[Path] = []
    others: list[Path] = []
    hidden: list[Path] = []
    names = {folder.name: split for split, folder in splits.items()}
    for path in sorted(root.rglob("*")):
        if path.is_dir():
            continue
        relative = path.relative_to(root)
        split = names.get(relative.parts[0]) if len(relative.parts) > 1 else None
        in_class = len(relative.parts) > (2 if split else 1)
        if not all(visible(part) for part in relative.parts):
            if is_sample(path) and not path.name.startswith("."):
                hidden.append(relative)
        elif not is_sample(path):
            if in_class:
                others.append(relative)
        elif not in_class:
            loose.append(relative)
        elif is_split_layout and split is None:
            (loose if split_of_folder(relative.parts[0]) else unused).append(relative)
        else:
            label = relative.parts[1 if split else 0]
            files.append(ClassFile(relative, label, split or ("train" if splits else None)))
    dropped.add(what, len(hidden), "in hidden folders", where=root, examples=hidden)
    dropped.add("files", len(others), f"not {what}, by their suffixes", where=root, examples=others)
    dropped.add(what, len(loose), "in no class folder", where=root, examples=loose)
    dropped.add(
        what,
        len(unused),
        "not in a split folder, although there is a training folder",
        where=root,
        examples=unused,
    )
    return files


def visible(name: str) -> bool:
    return not name.startswith(".") and name not in SYSTEM_FOLDERS


def subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and visible(entry.name))


def split_layout(root: Path, is_sample: Callable[[Path], bool]) -> dict[str, Path]:
    """Returns the split folders directly below ``root``, by split; empty if the folders are classes.

    Raises:
        DataError: two folders stand for the same split, or the one for training has an unknown name.
    """
    folders = subfolders(root)
    classes = {folder.name for folder in folders if split_of_folder(folder.name) is None}
    candidates = [
        (split, folder)
        for folder in folders
        if (split := split_of_folder(folder.name)) and holds_samples(subfolders(folder), is_sample)
    ]
    if not any(split == "train" for split, _ in candidates):
        reject_unknown_train_folder(root, [folder for _, folder in candidates], folders, is_sample)
        candidates = [pair for pair in candidates if classes & {entry.name for entry in subfolders(pair[1])}]
    splits: dict[str, Path] = {}
    for split, folder in candidates:
        if split in splits:
            raise DataError(
                f"{root} holds both {splits[split].name} and {folder.name}, which stand for the same split "
                f"({split}). Keep one of them."
            )
        splits[split] = folder
    return splits


def reject_unknown_train_folder(
    root: Path, splits: list[Path], folders: list[Path], is_sample: Callable[[Path], bool]
) -> None:
    """Rejects a folder that is probably the training split under another name.

    Raises:
        DataError: a folder that is named like no split holds the same classes as a split folder.
    """
    for split in splits:
        names = {entry.name for entry in subfolders(split)}
        for folder in folders:
            own = subfolders(folder)
            if (
                folder not in splits
                and len(own) > 1
                and {entry.name for entry in own} == names
                and holds_samples(own, is_sample)
            ):
                raise DataError(
                    f"{root}: {folder.name} holds the same class folders as {split.name} "
                    f"({', '.join(sorted(names)[:3])}), but its name "
                    "stands for no split. Rename it to train if it holds the training data."
                )


def holds_samples(folders: list[Path], is_sample: Callable[[Path], bool]) -> bool:
    return any(is_sample(file) for folder in folders for file in files_below(folder))


def files_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
