"""Folder layouts of images and masks, their checks, and the assignment of pairs to splits."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from runner.data.base import split_indices
from runner.data.detection.layout import split_meant
from runner.data.dropped import DroppedSamples
from runner.data.images.decode import EXTENSIONS
from runner.data.images.tree import entries, files_below, hidden_files, is_image
from runner.data.segmentation.mask_file import MASK_EXTENSIONS
from runner.suggest import did_you_mean

__all__ = ["MaskTree", "Pair", "cut_pairs", "find_folders", "list_pairs", "scan_masks", "tree_problems"]

FRACTION = 0.15

SplitNames = Callable[[Sequence[str], float, float, int], tuple[Tensor, Tensor, Tensor]]
"""Maps names, fractions of val and test and a seed to the indices of train, val and test."""


def split_at_random(
    names: Sequence[str], val_fraction: float, test_fraction: float, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    return split_indices(len(names), val_fraction, test_fraction, seed)


def cut_pairs(
    pairs: dict[str, list[Pair]],
    val_fraction: float | None,
    test_fraction: float | None,
    seed: int,
    split_names: SplitNames | None = None,
) -> tuple[list[Pair], dict[str, Tensor]]:
    """Return all pairs and the indices of each split: existing split folders, or random splits.

    Args:
        pairs: pairs of each split folder; ``all`` without split folders.
        val_fraction: fraction of all pairs, or of train if there is no val folder; 0.15 when None.
        test_fraction: fraction of all pairs, 0.15 when None. Ignored with split folders.
        seed: seed of the random split.
        split_names: splits the pairs of a folder by the paths of their images; at random when None.
    """
    split_names = split_names or split_at_random
    flat: list[Pair] = []
    splits: dict[str, Tensor] = {}
    for split, of_split in pairs.items():
        splits[split] = torch.arange(len(flat), len(flat) + len(of_split))
        flat += of_split
    val_fraction = FRACTION if val_fraction is None else val_fraction
    if "all" in splits:
        rest = FRACTION if test_fraction is None else test_fraction
        parts = split_names([image for image, _ in flat], val_fraction, rest, seed)
        splits = dict(zip(("train", "val", "test"), parts, strict=True))
    elif "val" not in splits:
        whole = splits["train"]
        train, val, _ = split_names([flat[index][0] for index in whole.tolist()], val_fraction, 0.0, seed)
        splits |= {"train": whole[train], "val": whole[val]}
    return flat, {split: splits[split] for split in ("train", "val", "test") if len(splits.get(split, ()))}


MAX_NAMED = 5


def tree_problems(
    tree: MaskTree, drops_unmasked: bool, val_fraction: float | None, test_fraction: float | None
) -> list[str]:
    """Return one message per problem."""
    problems = list(tree.problems)
    unmasked = [path for split, paths in tree.unmasked.items() if tree.pairs[split] for path in paths]
    if unmasked and not drops_unmasked:
        more = f" and {len(unmasked) - MAX_NAMED} more" if len(unmasked) > MAX_NAMED else ""
        count = "1 image has" if len(unmasked) == 1 else f"{len(unmasked)} images have"
        problems.append(
            f"{count} no mask: {', '.join(unmasked[:MAX_NAMED])}{more}. Add them, or leave these images "
            "out with data.unmasked=drop."
        )
    if val_fraction and "val" in tree.pairs:
        problems.append(f"data.val_fraction={val_fraction:g} would have no effect: there is a val folder.")
    if test_fraction and "train" in tree.pairs:
        problems.append(
            f"data.test_fraction={test_fraction:g} would have no effect: there are folders of splits."
        )
    of_test = FRACTION if test_fraction is None else test_fraction
    if "all" in tree.pairs and (val_fraction or FRACTION) + of_test >= 1:
        problems.append(
            "data.val_fraction and data.test_fraction leave no training pairs. Choose smaller fractions."
        )
    return problems


IMAGE_NAMES = ("images", "image", "imgs", "img", "jpegimages", "photos", "leftimg8bit")
MASK_NAMES = (
    "masks",
    "mask",
    "labels",
    "label",
    "annotations",
    "annotation",
    "annot",
    "segmentationclass",
    "gt",
    "gtfine",
)
BESIDE = ("annot", "_annot", "_masks", "_mask", "_labels", "masks", "labels")
"""Suffixes of mask folders after the name of a split: ``train`` and ``trainannot``."""
LAYOUTS = (
    "Expected ROOT/images and ROOT/masks, both optionally with train, val and test folders; or these two in "
    "ROOT/train, ROOT/val and ROOT/test; or ROOT/train and ROOT/trainannot. Give other names with "
    "data.images and data.masks."
)

Pair = tuple[str, str]
"""Paths of an image and its mask, relative to the root."""


@dataclass
class MaskTree:
    """The contents of a folder of images and masks.

    Attributes:
        pairs: sorted pairs of each split; ``all`` without split folders.
        unmasked: images without a mask of each split.
        problems: one message per problem.
        dropped: images, masks and files that are not used.
    """

    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    unmasked: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    dropped: DroppedSamples = field(default_factory=DroppedSamples)


def scan_masks(
    root: Path, images: str | None, masks: str | None, image_suffix: str, mask_suffix: str
) -> MaskTree:
    """List a folder without opening files.

    Args:
        root: the folder.
        images: name of the folder of images; detected when None.
        masks: name of the folder of masks; detected when None.
        image_suffix: suffix of image names after the common part of a pair's names, before the extension.
        mask_suffix: suffix of mask names.
    """
    tree = MaskTree()
    folders, problem = find_folders(root, images, masks)
    if problem:
        tree.problems.append(problem)
    for split, (image_folder, mask_folder) in folders.items():
        list_pairs(tree, split, root, image_folder, mask_folder, image_suffix, mask_suffix)
    if folders:
        leave_out_others(tree, root, {folder for pair in folders.values() for folder in pair})
    return tree


def leave_out_others(tree: MaskTree, root: Path, used: set[Path]) -> None:
    """Count images outside of the folders of images and masks, and hidden ones."""
    others: dict[Path, list[str]] = {}
    for entry in files_below(root):
        path = Path(entry.path)
        if is_image(entry.name) and used.isdisjoint(path.parents):
            others.setdefault(path.parent, []).append(entry.name)
    for folder, names in sorted(others.items()):
        tree.dropped.add("images", len(names), "the folder is not used", where=folder, examples=names)
    hidden = [path for path in hidden_files(root) if is_image(path)]
    shown = [relative(Path(path), root) for path in hidden]
    tree.dropped.add(
        "images", len(hidden), "hidden by the name of the file or a folder", where=root, examples=shown
    )


def find_folders(
    root: Path, images: str | None = None, masks: str | None = None
) -> tuple[dict[str, tuple[Path, Path]], str | None]:
    """Return the image and mask folders of each split, and a problem if they cannot be found."""
    if images is not None and masks is not None:
        for name, folder in (("images", root / images), ("masks", root / masks)):
            if not folder.is_dir():
                hint = did_you_mean(folder.name, folders_in(root), dotted=False)
                return {}, f"data.{name}={folder.relative_to(root)}: no such folder in {root}. {hint}"
        return by_split(root / images, root / masks), None
    if images is not None or masks is not None:
        return {}, "data.images and data.masks belong together: give both, or none of them."
    folders = folders_in(root)
    pair = find_pair(root, folders)
    if pair:
        return by_split(*pair), None
    splits = {}
    for name in folders:
        split = split_meant(name)
        if not split:
            continue
        inside = find_pair(root / name, folders_in(root / name))
        beside = one_of(folders, [name.lower() + end for end in BESIDE])
        if inside:
            splits[split] = inside
        elif beside:
            splits[split] = root / name, root / beside
    if "train" in splits:
        return splits, None
    names = ", ".join(folders[:12]) or "no folders"
    return {}, f"data.root={root} holds {names}. {LAYOUTS}"


def find_pair(parent: Path, names: list[str]) -> tuple[Path, Path] | None:
    """Return the folders of images and masks in a folder; None if one of them is missing."""
    images, masks = one_of(names, IMAGE_NAMES), one_of(names, MASK_NAMES)
    return (parent / images, parent / masks) if images and masks else None


def by_split(images: Path, masks: Path) -> dict[str, tuple[Path, Path]]:
    """Return the two folders, or the split folders in them, by split."""
    of_masks = {split_meant(name): name for name in folders_in(masks)}
    of_images = {split_meant(name): name for name in folders_in(images)}
    splits: dict[str, tuple[Path, Path]] = {
        split: (images / of_images[split], masks / of_masks[split])
        for split in ("train", "val", "test")
        if split in of_images and split in of_masks
    }
    return splits if "train" in splits else {"all": (images, masks)}


def list_pairs(
    tree: MaskTree, split: str, root: Path, images: Path, masks: Path, image_suffix: str, mask_suffix: str
) -> None:
    """Add the pairs of one split, and its unpaired files."""
    of_masks = by_key(tree, masks, mask_suffix, MASK_EXTENSIONS)
    taken = set(of_masks.values()) if images == masks else set()
    of_images = by_key(tree, images, image_suffix, EXTENSIONS, taken)
    both = sorted(of_images.keys() & of_masks.keys())
    tree.pairs[split] = [(relative(of_images[key], root), relative(of_masks[key], root)) for key in both]
    tree.unmasked[split] = [
        relative(path, root) for key, path in sorted(of_images.items()) if key not in of_masks
    ]
    report_others(tree, images, EXTENSIONS, image_suffix, images == masks)
    if images != masks:
        report_others(tree, masks, MASK_EXTENSIONS)
    if both:
        orphans = [path.name for key, path in sorted(of_masks.items()) if key not in of_images]
        tree.dropped.add("masks", len(orphans), "no image has their name", len(of_masks), masks, orphans)
    if not of_images:
        tree.problems.append(f"{images} holds no images.")
    elif not both:
        tree.problems.append(no_pair(images, masks, of_images, of_masks))


def report_others(
    tree: MaskTree, folder: Path, extensions: frozenset[str], suffix: str = "", holds_masks: bool = False
) -> None:
    """Count the files of a folder with other extensions, and images without the suffix."""
    files = [Path(entry.path) for entry in files_below(folder)]
    others = [path.name for path in files if path.suffix.lower() not in extensions]
    known = ", ".join(sorted(end[1:] for end in extensions))
    tree.dropped.add(
        "files", len(others), f"their names do not end in {known}", where=folder, examples=others
    )
    if suffix and not holds_masks:
        images = [path for path in files if path.suffix.lower() in extensions]
        without = [path.name for path in images if not path.stem.endswith(suffix)]
        reason = f"their names do not end in data.image_suffix={suffix}"
        tree.dropped.add("images", len(without), reason, len(images), folder, without)


def no_pair(images: Path, masks: Path, of_images: dict[str, Path], of_masks: dict[str, Path]) -> str:
    """Return the problem that no names match between the folders, with a suggested suffix."""
    image, mask = min(of_images), min(of_masks, default=None)
    if mask is None:
        return f"{masks} holds no masks ({', '.join(sorted(end[1:] for end in MASK_EXTENSIONS))})."
    text = f"No image in {images} has a mask with its name in {masks}: they hold {image} and {mask}."
    longer, shorter, setting = (mask, image, "mask") if len(mask) > len(image) else (image, mask, "image")
    if longer.startswith(shorter):
        return f"{text} Give data.{setting}_suffix={longer.removeprefix(shorter)}."
    return f"{text} Give the suffixes after the common part with data.image_suffix and data.mask_suffix."


def by_key(
    tree: MaskTree, folder: Path, suffix: str, extensions: frozenset[str], left_out: Set[Path] = frozenset()
) -> dict[str, Path]:
    """Return path without suffix and extension, which identifies a pair → file, for all files of a folder."""
    files: dict[str, Path] = {}
    for entry in files_below(folder):
        path = Path(entry.path)
        if path.suffix.lower() not in extensions or not path.stem.endswith(suffix) or path in left_out:
            continue
        key = path.relative_to(folder).with_suffix("").as_posix().removesuffix(suffix)
        if key in files:
            tree.problems.append(f"{path} and {files[key].name} have the same name. Rename or remove one.")
        files[key] = path
    return files


def folders_in(folder: Path) -> list[str]:
    return [entry.name for entry in entries(folder) if entry.is_dir()] if folder.is_dir() else []


def one_of(existing: list[str], names: list[str] | tuple[str, ...]) -> str | None:
    return next((name for wanted in names for name in existing if name.lower() == wanted), None)


def relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
