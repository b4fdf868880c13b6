"""What lies in a folder of labelled images: split folders, class folders, files. Nothing is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runner.data.images.decode import EXTENSIONS
from runner.data.split_folders import split_of_folder
from runner.errors import DataError

__all__ = ["ClassFolder", "ImageTree", "entries", "image_files", "scan_tree"]


@dataclass
class ClassFolder:
    """One class of one split.

    Attributes:
        images: path relative to the root, and size in bytes; sorted by path.
        num_others: files that are no images by their names.
    """

    name: str
    images: list[tuple[str, int]] = field(default_factory=list)
    num_others: int = 0


@dataclass
class ImageTree:
    """A folder with a folder for each class, or with split folders that have them.

    Attributes:
        folders: of each split, relative to the root; ``{"all": "."}`` without split folders.
        classes: of each split, by name, in the order of their names.
        loose: of each split, the number of images beside the class folders.
        twice: split folders of the same meaning, such as ``val`` and ``valid``.
        notes: what was passed over, for the user to know.
    """

    root: Path
    folders: dict[str, str] = field(default_factory=dict)
    classes: dict[str, dict[str, ClassFolder]] = field(default_factory=dict)
    loose: dict[str, int] = field(default_factory=dict)
    twice: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def paths(self) -> list[str]:
        """Of all images of all splits, relative to the root."""
        folders = [folder for classes in self.classes.values() for folder in classes.values()]
        return [path for folder in folders for path, _ in folder.images]


def scan_tree(root: Path) -> ImageTree:
    """Lists a folder. Hidden files and folders (``.ipynb_checkpoints``, ``__MACOSX``) do not count.

    Raises:
        OSError: it cannot be listed.
    """
    tree = ImageTree(root)
    folders = [entry for entry in entries(root) if entry.is_dir()]
    others = []
    for entry in folders:
        split = split_of_folder(entry.name)
        if split is None:
            others.append(entry.name)
        elif split in tree.folders:
            tree.twice.append((tree.folders[split], entry.name))
        else:
            tree.folders[split] = entry.name
    if not tree.folders or (
        others and list(tree.folders) == ["train"] and is_class(root / tree.folders["train"])
    ):
        tree.folders, tree.twice = {"all": "."}, []
    else:
        tree.notes += [f"{root / name} is no split folder: not used." for name in others]
    for split, name in tree.folders.items():
        scan_split(tree, split, root / name)
    pass_over_unlabelled(tree)
    return tree


def is_class(folder: Path) -> bool:
    """Whether a folder called train is one of a class (a railway's) and not of a split: images, no folders."""
    inside = entries(folder)
    return any(is_image(entry.name) for entry in inside) and not any(entry.is_dir() for entry in inside)


def pass_over_unlabelled(tree: ImageTree) -> None:
    """Images without classes cannot be tested on: competitions hand out such test folders."""
    loose = tree.loose.get("test", 0)
    if loose and not tree.classes["test"]:
        name = tree.folders.pop("test")
        del tree.classes["test"]
        tree.notes.append(f"{tree.root / name} holds {loose} images without class folders: not used.")


def scan_split(tree: ImageTree, split: str, folder: Path) -> None:
    tree.classes[split], tree.loose[split] = {}, 0
    for entry in entries(folder):
        if entry.is_dir():
            found = tree.classes[split][entry.name] = ClassFolder(entry.name)
            for file in files_below(entry.path):
                if is_image(file.name):
                    path = os.path.relpath(file.path, tree.root).replace(os.sep, "/")
                    found.images.append((path, file.stat().st_size))
                else:
                    found.num_others += 1
            found.images.sort()
        elif is_image(entry.name):
            tree.loose[split] += 1


def image_files(path: str | Path) -> list[str]:
    """The file itself, or all image files below a folder, sorted.

    Raises:
        DataError: nothing is there, or a folder without images.
    """
    if Path(path).is_file():
        return [str(path)]
    if not Path(path).is_dir():
        raise DataError(f"{path}: there is no such file or folder.")
    found = sorted(entry.path for entry in files_below(path) if is_image(entry.name))
    if not found:
        raise DataError(f"{path} holds no image files.")
    return found


def is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def entries(folder: str | Path) -> list[os.DirEntry]:
    """What a person sees in a folder, sorted by name."""
    with os.scandir(folder) as found:
        visible = [entry for entry in found if not entry.name.startswith((".", "__"))]
    return sorted(visible, key=lambda entry: entry.name)


def files_below(folder: str | Path, above: frozenset[str] = frozenset()) -> Iterator[os.DirEntry]:
    """All files below a folder. Links to folders are followed, but not in circles."""
    here = os.path.realpath(folder)
    if here in above:
        return
    for entry in entries(folder):
        if entry.is_dir():
            yield from files_below(entry.path, above | {here})
        elif entry.is_file():
            yield entry
