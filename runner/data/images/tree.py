"""Listing and checks of a folder of labelled images, without opening files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.data.class_folders import split_of_folder
from runner.data.dropped import DroppedSamples
from runner.data.images.decode import EXTENSIONS
from runner.data.labels import merge_spellings, merged_spellings
from runner.errors import DataError
from runner.suggest import did_you_mean

__all__ = ["ClassFolder", "ImageTree", "entries", "find_problems", "image_files", "scan_tree"]

MAX_NAMED = 5
LAYOUT = "Expected ROOT/CLASS/IMAGE, or ROOT/train/CLASS/IMAGE with val and test folders beside train."


def find_problems(root: str) -> tuple[ImageTree | None, list[str]]:
    """Return the tree, if the folder could be listed, and one message per problem."""
    folder = Path(root).expanduser()
    here = f"data.root={root}"
    if not folder.exists():
        near = [entry.name for entry in entries(folder.parent)] if folder.parent.is_dir() else []
        hint = f" {did_you_mean(folder.name, near, dotted=False)}" if near else ""
        return None, [f"{here}: no such folder.{hint}"]
    if not folder.is_dir():
        return None, [f"{here} is a file, expected a folder. If it is an archive, unpack it first."]
    try:
        tree = scan_tree(folder)
    except OSError as error:
        return None, [f"{here} cannot be listed: {error.strerror}: {error.filename}."]
    return tree, tree_problems(tree, here)


def tree_problems(tree: ImageTree, here: str) -> list[str]:
    problems = [
        f"{here} has both {first!r} and {second!r}, which mean the same split. Rename or remove one."
        for first, second in tree.twice
    ]
    if "all" not in tree.folders and "train" not in tree.folders:
        names = " and ".join(repr(name) for name in tree.folders.values())
        return [*problems, f"{here} has {names} but no 'train' folder. {LAYOUT}"]
    first = "all" if "all" in tree.folders else "train"
    problems += class_problems(tree, first, here)
    for split in tree.folders:
        if split != first:
            problems += difference_problems(tree, first, split, here)
        problems += empty_problems(tree, split, here)
    return problems


def class_problems(tree: ImageTree, split: str, here: str) -> list[str]:
    """Return a problem if there are fewer than two classes, with a suggestion of another folder."""
    classes, loose = tree.classes[split], tree.loose[split]
    folder = here if split == "all" else f"{here}/{tree.folders[split]}"
    if len(classes) >= 2:
        return []
    if not classes:
        content = f"{loose} images but no class folders" if loose else "no class folders"
        return [f"{folder} holds {content}. {LAYOUT}"]
    (name,) = classes
    inside = [entry.name for entry in entries(tree.root / tree.folders[split] / name) if entry.is_dir()]
    hint = ""
    if len(inside) >= 2:
        hint = f" Did you mean {folder}/{name}? It holds {', '.join(inside[:4])}."
    return [f"{folder} has one class, {name!r}, expected at least two.{hint or ' ' + LAYOUT}"]


def difference_problems(tree: ImageTree, first: str, split: str, here: str) -> list[str]:
    """Return a problem for each class that a split lacks or has in addition to those of train.

    Class ids are derived from the folders, so all splits need the same ones.
    """
    expected, existing = set(tree.classes[first]), set(tree.classes[split])
    folder, train = tree.folders[split], tree.folders[first]
    problems = []
    for name in sorted(expected - existing):
        near = sorted(existing - expected)
        hint = f" {did_you_mean(name, near, dotted=False)}" if near else ""
        problems.append(f"{here}/{folder} lacks the class {name!r}, which {train} has.{hint}")
    for name in sorted(existing - expected):
        problems.append(f"{here}/{folder} has the class {name!r}, which {train} lacks.")
    return problems


def empty_problems(tree: ImageTree, split: str, here: str) -> list[str]:
    parent = here if split == "all" else f"{here}/{tree.folders[split]}"
    problems = []
    for name, folder in tree.classes[split].items():
        if any(size for _, size in folder.images):
            continue
        content = "no images"
        if folder.images:
            content = f"only empty files ({len(folder.images)})"
        elif folder.num_others:
            known = ", ".join(sorted(extension[1:] for extension in EXTENSIONS))
            content = f"no images but {folder.num_others} other files (images end in {known})"
        problems.append(f"The class folder {parent}/{name} holds {content}. Fill it or remove it.")
    if len(problems) > MAX_NAMED:
        problems[MAX_NAMED:] = [f"{len(problems) - MAX_NAMED} more class folders of {parent} hold no images."]
    return problems


@dataclass
class ClassFolder:
    """One class of one split.

    Attributes:
        images: paths relative to the root, with sizes in bytes; sorted by path.
        others: paths of files without an image extension, relative to the root.
    """

    name: str
    images: list[tuple[str, int]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    @property
    def num_others(self) -> int:
        """The number of files that are not images."""
        return len(self.others)


@dataclass
class ImageTree:
    """A folder with class folders, or with split folders that contain class folders.

    Attributes:
        folders: folder of each split, relative to the root; ``{"all": "."}`` without split folders.
        classes: class folders of each split, by name, in alphabetical order.
        loose: number of images of each split that are not in a class folder.
        twice: split folders with the same meaning, such as ``val`` and ``valid``.
        notes: how ambiguous folders were interpreted.
        dropped: images and files that are not used.
    """

    root: Path
    folders: dict[str, str] = field(default_factory=dict)
    classes: dict[str, dict[str, ClassFolder]] = field(default_factory=dict)
    loose: dict[str, int] = field(default_factory=dict)
    twice: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dropped: DroppedSamples = field(default_factory=DroppedSamples)

    def paths(self) -> list[str]:
        """Return the paths of all images of all splits, relative to the root."""
        folders = [folder for classes in self.classes.values() for folder in classes.values()]
        return [path for folder in folders for path, _ in folder.images]


def scan_tree(root: Path) -> ImageTree:
    """List a folder; hidden files and folders (``.git``, ``__MACOSX``) are left out and counted.

    Folders named ``train``, ``val`` or ``test`` are splits, unless they contain images but no folders and
    have other folders as siblings: then they are classes.

    Raises:
        OSError: the folder cannot be listed.
    """
    tree = ImageTree(root)
    others = []
    for entry in entries(root):
        split = split_of_folder(entry.name) if entry.is_dir() else None
        if split is None:
            others += [entry.name] if entry.is_dir() and not is_clutter(entry) else []
        elif split in tree.folders:
            tree.twice.append((tree.folders[split], entry.name))
        else:
            tree.folders[split] = entry.name
    of_splits = [*tree.folders.values(), *(name for _, name in tree.twice)]
    if not of_splits or (others and all(is_class(root / name) for name in of_splits)):
        tree.notes += [
            f"{root / name} is read as a class, because it holds images like the folders beside it."
            for name in of_splits
        ]
        tree.folders, tree.twice = {"all": "."}, []
    else:
        leave_out_folders(tree, others)
    for split, name in tree.folders.items():
        scan_split(tree, split, root / name)
    leave_out_unlabelled(tree)
    leave_out_hidden(tree)
    merge_classes(tree)
    return tree


def is_class(folder: Path) -> bool:
    """Return whether a folder named like a split is a class (of trains): it has images but no folders."""
    inside = entries(folder)
    return any(is_image(entry.name) for entry in inside) and not any(entry.is_dir() for entry in inside)


def is_clutter(entry: os.DirEntry) -> bool:
    """Return whether a folder belongs to a tool and not to a class, such as ``__pycache__``."""
    return entry.name.startswith("__") and not any(is_image(file.name) for file in files_below(entry.path))


def leave_out_folders(tree: ImageTree, names: Sequence[str]) -> None:
    for name in names:
        images = [file.path for file in files_below(tree.root / name) if is_image(file.name)]
        tree.dropped.add("images", len(images), "the folder is not a split", where=tree.root / name)


def leave_out_unlabelled(tree: ImageTree) -> None:
    """Leave out test folders without class folders, as distributed by competitions: they have no labels."""
    loose = tree.loose.get("test", 0)
    if loose and not tree.classes["test"]:
        name = tree.folders.pop("test")
        del tree.classes["test"]
        tree.dropped.add("images", loose, "they have no class folders", where=tree.root / name)
    for split, classes in tree.classes.items():
        where = tree.root / tree.folders[split]
        tree.dropped.add("images", tree.loose[split], "they are in no class folder", where=where)
        files = [file for folder in classes.values() for file in folder.others]
        known = ", ".join(sorted(extension[1:] for extension in EXTENSIONS))
        tree.dropped.add(
            "files", len(files), f"they have no extension of images ({known})", where=where, examples=files
        )


def leave_out_hidden(tree: ImageTree) -> None:
    hidden = [path for path in hidden_files(tree.root) if is_image(path)]
    shown = [os.path.relpath(path, tree.root) for path in hidden]
    tree.dropped.add(
        "images", len(hidden), "hidden by the name of the file or a folder", where=tree.root, examples=shown
    )


def hidden_files(root: Path) -> Iterator[str]:
    """Yield all files below a folder that ``entries`` skips. Links are not followed."""
    for folder, _, files in os.walk(root):
        parts = Path(folder).relative_to(root).parts
        inside = any(is_hidden(part) for part in parts)
        yield from (os.path.join(folder, name) for name in files if inside or is_hidden(name))


def merge_classes(tree: ImageTree) -> None:
    """Merge folders whose names are spellings of one class; see ``runner.data.labels``."""
    names = merge_spellings(name for classes in tree.classes.values() for name in classes)
    for name, spellings in merged_spellings(names).items():
        tree.notes.append(
            f"{tree.root}: the folders {', '.join(map(repr, spellings))} are one class, {name!r}."
        )
    for split, classes in tree.classes.items():
        merged: dict[str, ClassFolder] = {}
        for spelling, folder in classes.items():
            into = merged.setdefault(names[spelling], ClassFolder(names[spelling]))
            into.images = sorted(into.images + folder.images)
            into.others += folder.others
        tree.classes[split] = dict(sorted(merged.items()))


def scan_split(tree: ImageTree, split: str, folder: Path) -> None:
    tree.classes[split], tree.loose[split] = {}, 0
    for entry in entries(folder):
        if entry.is_dir() and not is_clutter(entry):
            images = tree.classes[split][entry.name] = ClassFolder(entry.name)
            for file in files_below(entry.path):
                path = os.path.relpath(file.path, tree.root).replace(os.sep, "/")
                if is_image(file.name):
                    images.images.append((path, file.stat().st_size))
                else:
                    images.others.append(path)
            images.images.sort()
        elif is_image(entry.name) and entry.is_file():
            tree.loose[split] += 1


def image_files(path: str | Path) -> list[str]:
    """Return the file itself, or all image files below a folder, sorted.

    Raises:
        DataError: the path does not exist, or the folder contains no images.
    """
    if Path(path).is_file():
        return [str(path)]
    if not Path(path).is_dir():
        raise DataError(f"{path}: no such file or folder.")
    files = sorted(entry.path for entry in files_below(path) if is_image(entry.name))
    if not files:
        raise DataError(f"{path} holds no image files.")
    return files


def is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def entries(folder: str | Path) -> list[os.DirEntry]:
    """Return the visible entries of a folder, sorted by name."""
    with os.scandir(folder) as scan:
        visible = [entry for entry in scan if not is_hidden(entry.name)]
    return sorted(visible, key=lambda entry: entry.name)


def is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def files_below(folder: str | Path, above: frozenset[str] = frozenset()) -> Iterator[os.DirEntry]:
    """Yield all files below a folder. Links to folders are followed, except in cycles."""
    here = os.path.realpath(folder)
    if here in above:
        return
    for entry in entries(folder):
        if entry.is_dir():
            yield from files_below(entry.path, above | {here})
        elif entry.is_file():
            yield entry
