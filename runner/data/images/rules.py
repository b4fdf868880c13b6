"""Checks of a folder of labelled images; all problems are reported at once."""

from __future__ import annotations

from pathlib import Path

from runner.data.images.decode import EXTENSIONS
from runner.data.images.tree import ImageTree, entries, scan_tree
from runner.config.nearest import did_you_mean

__all__ = ["find_problems"]

MAX_NAMED = 5
LAYOUT = "Expected ROOT/CLASS/IMAGE, or ROOT/train/CLASS/IMAGE with val and test folders beside train."


def find_problems(root: str) -> tuple[ImageTree | None, list[str]]:
    """Returns the tree, if the folder could be listed, and one message per problem."""
    folder = Path(root).expanduser()
    here = f"data.root={root}"
    if not folder.exists():
        near = [entry.name for entry in entries(folder.parent)] if folder.parent.is_dir() else []
        hint = f" {did_you_mean(folder.name, near)}" if near else ""
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
    """Returns a problem if there are fewer than two classes, with a suggestion of the folder that was meant."""
    classes, loose = tree.classes[split], tree.loose[split]
    place = here if split == "all" else f"{here}/{tree.folders[split]}"
    if len(classes) >= 2:
        return []
    if not classes:
        found = f"{loose} images but no class folders" if loose else "no class folders"
        return [f"{place} holds {found}. {LAYOUT}"]
    (name,) = classes
    inside = [entry.name for entry in entries(tree.root / tree.folders[split] / name) if entry.is_dir()]
    hint = ""
    if len(inside) >= 2:
        hint = f" Did you mean {place}/{name}? It holds {', '.join(inside[:4])}."
    return [f"{place} has one class, {name!r}, expected at least two.{hint or ' ' + LAYOUT}"]


def difference_problems(tree: ImageTree, first: str, split: str, here: str) -> list[str]:
    """Checks that a split has the same classes as train, because the class ids are derived from the folders."""
    expected, found = set(tree.classes[first]), set(tree.classes[split])
    folder, train = tree.folders[split], tree.folders[first]
    problems = []
    for name in sorted(expected - found):
        near = sorted(found - expected)
        hint = f" {did_you_mean(name, near)}" if near else ""
        problems.append(f"{here}/{folder} lacks the class {name!r}, which {train} has.{hint}")
    for name in sorted(found - expected):
        problems.append(f"{here}/{folder} has the class {name!r}, which {train} lacks.")
    return problems


def empty_problems(tree: ImageTree, split: str, here: str) -> list[str]:
    place = here if split == "all" else f"{here}/{tree.folders[split]}"
    problems = []
    for name, folder in tree.classes[split].items():
        if any(size for _, size in folder.images):
            continue
        what = "no images"
        if folder.images:
            what = f"only empty files ({len(folder.images)})"
        elif folder.num_others:
            known = ", ".join(sorted(extension[1:] for extension in EXTENSIONS))
            what = f"no images but {folder.num_others} other files (images end in {known})"
        problems.append(f"The class folder {place}/{name} holds {what}. Fill it or remove it.")
    if len(problems) > MAX_NAMED:
        problems[MAX_NAMED:] = [f"{len(problems) - MAX_NAMED} more class folders of {place} hold no images."]
    return problems
