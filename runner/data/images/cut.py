"""Assignment of image files to splits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass

import torch
from torch import Tensor

from runner.data.base import split_indices
from runner.data.images.tree import ImageTree
from runner.data.images.verify import BrokenFile

__all__ = ["ImageCut", "count_problems", "cut_tree", "fraction_problems"]

FRACTION = 0.15

SplitSamples = Callable[[Sequence[str], float, float, int, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Maps paths, fractions of val and test, a seed and class ids to the indices of train, val and test."""


def split_by_class(
    paths: Sequence[str], val_fraction: float, test_fraction: float, seed: int, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return split_indices(len(paths), val_fraction, test_fraction, seed, labels)


@dataclass
class ImageCut:
    """The files of an image tree and their splits.

    Attributes:
        class_names: class names in the order of their ids.
        paths: paths of the files, relative to the tree's root.
        sizes: sizes of the files, in bytes.
        targets: class ids, ``(N,)``.
        splits: sorted indices into ``paths``, by split; missing splits have no entry.
        empty: empty files, which are left out.
    """

    class_names: list[str]
    paths: list[str]
    sizes: list[int]
    targets: Tensor
    splits: dict[str, Tensor]
    empty: list[BrokenFile]

    def counts(self, split: str) -> list[int]:
        """Return the number of images of each class."""
        return torch.bincount(self.targets[self.splits[split]], minlength=len(self.class_names)).tolist()


def cut_tree(
    tree: ImageTree,
    left_out: Set[str] = frozenset(),
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
    split_samples: SplitSamples = split_by_class,
) -> ImageCut:
    """Use existing split folders and create missing splits at random; see ImageFolderDataModule.

    Args:
        tree: a tree without problems.
        left_out: paths of files to leave out.
        val_fraction: fraction of the validation split.
        test_fraction: fraction of the test split.
        seed: seed of the random split.
        split_samples: splits the images of a folder, as ``DataModule.split_samples`` does.
    """
    first = "all" if "all" in tree.folders else "train"
    cut = ImageCut(list(tree.classes[first]), [], [], torch.empty(0), {}, [])
    targets: list[int] = []
    for split in tree.folders:
        begin = len(targets)
        for label, name in enumerate(cut.class_names):
            for path, size in tree.classes[split][name].images:
                if not size:
                    cut.empty.append(BrokenFile(path, "the file is empty"))
                elif path not in left_out:
                    cut.paths.append(path)
                    cut.sizes.append(size)
                    targets.append(label)
        cut.splits[split] = torch.arange(begin, len(targets))
    cut.targets = torch.tensor(targets, dtype=torch.long)
    cut_missing(cut, val_fraction, test_fraction, seed, split_samples)
    return cut


def cut_missing(
    cut: ImageCut,
    val_fraction: float | None,
    test_fraction: float | None,
    seed: int,
    split_samples: SplitSamples,
) -> None:
    """Create the splits that have no folder."""

    def parts(split: str, first: float, second: float = 0.0) -> list[Tensor]:
        whole = cut.splits.pop(split)
        paths = [cut.paths[index] for index in whole.tolist()]
        indices = split_samples(paths, first, second, seed, cut.targets[whole])
        return [whole[part] for part in indices]

    splits = cut.splits
    if "all" in splits:
        by_default = FRACTION if test_fraction is None else test_fraction
        splits["train"], splits["val"], splits["test"] = parts("all", val_fraction or FRACTION, by_default)
    elif "val" not in splits:
        from_train = 0.0 if "test" in splits else test_fraction or 0.0
        splits["train"], splits["val"], test = parts("train", val_fraction or FRACTION, from_train)
        splits.setdefault("test", test)
    elif "test" not in splits and test_fraction:
        splits["val"], splits["test"], _ = parts("val", test_fraction)
    if "test" in splits and not len(splits["test"]):
        del splits["test"]


def fraction_problems(tree: ImageTree, val_fraction: float | None, test_fraction: float | None) -> list[str]:
    """Return problems with fractions that have no effect or leave no training images."""
    problems = []
    for split, fraction in (("val", val_fraction), ("test", test_fraction)):
        if fraction and split in tree.folders:
            folder = tree.root / tree.folders[split]
            problems.append(
                f"data.{split}_fraction={fraction:g} would have no effect: there is a folder {folder}. "
                "Remove one."
            )
    if "val" not in tree.folders and "test" not in tree.folders:
        by_default = FRACTION if "all" in tree.folders else 0.0
        total = (val_fraction or FRACTION) + (by_default if test_fraction is None else test_fraction)
        if total >= 1:
            problems.append(
                f"data.val_fraction and data.test_fraction add up to {total:g}, which leaves no training "
                "images. Choose smaller fractions."
            )
    return problems


def count_problems(cut: ImageCut, splits: Iterable[str]) -> list[str]:
    """Return a problem for each class without images in one of these splits."""
    problems = []
    for split in splits:
        for name, count in zip(cut.class_names, cut.counts(split), strict=True):
            if not count:
                total = int((cut.targets == cut.class_names.index(name)).sum())
                problems.append(
                    f"The class {name!r} has {total} usable images in all, and none of them in {split}. "
                    f"Add images, or change data.val_fraction and data.test_fraction."
                )
    return problems
