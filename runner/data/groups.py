"""Splits by group: all samples of a patient, speaker or recording are in the same split."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from runner.errors import DataError

__all__ = ["FOLDER", "group_pattern", "group_texts", "groups_of_names", "shared_groups", "split_groups"]

FOLDER = "folder"
"""The value of ``data.group`` for which the name of a file's folder is its group.

Only the name: a patient with images of two classes has a folder of that name in both.
"""
MAX_BINS = 20
"""Bins into which the groups are distributed; a split takes as many as come closest to its fraction."""


def group_pattern(rule: str) -> str:
    """Return the regular expression of a rule for names: ``folder``, or itself a regular expression.

    Raises:
        DataError: it is not a valid regular expression.
    """
    if rule == FOLDER:
        return r"([^/\\]+)[/\\][^/\\]*$"
    try:
        re.compile(rule)
    except re.error as error:
        raise DataError(
            f"data.group={rule!r} is not a regular expression ({error}). Use {FOLDER!r}, or an expression "
            "that matches the group in the path of a file, such as 'patient(\\d+)'."
        ) from error
    return rule


def groups_of_names(rule: str, names: Sequence[str]) -> list[str]:
    """Return the group of each name.

    Args:
        rule: see ``group_pattern``; the group is the first parenthesized part, or the whole match.
        names: paths of files, relative to the folder of the data.

    Raises:
        DataError: the rule does not match a name.
    """
    pattern = re.compile(group_pattern(rule))
    groups = []
    for name in names:
        match = pattern.search(name)
        if match is None or match.group(1 if pattern.groups else 0) is None:
            advice = "Its files lie in no folder." if rule == FOLDER else "Every file needs a group."
            raise DataError(f"data.group={rule!r} does not match {name!r}. {advice}")
        groups.append(match.group(1 if pattern.groups else 0))
    return groups


def group_texts(values: Sequence[object]) -> list[str]:
    """Return the cells of a column as names of groups; 7.0 and 7 are the same group.

    A column of whole numbers is read as floats if a cell of the file is empty.
    """
    return [
        str(int(value)) if isinstance(value, float) and value.is_integer() else str(value) for value in values
    ]


def split_groups(
    groups: Sequence[str],
    val_fraction: float,
    test_fraction: float = 0.0,
    seed: int = 0,
    labels: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Split samples at random into train, val and test, whole groups at a time.

    The groups are distributed over bins with scikit-learn's ``StratifiedGroupKFold``. The sizes of the splits
    come as close to the fractions as the sizes of the groups allow.

    Args:
        groups: the group of each sample, ``N`` entries.
        val_fraction: fraction of all samples for validation, 0 to 1.
        test_fraction: fraction of all samples for the test, 0 to 1.
        seed: seed of the split.
        labels: ``(N,)`` class ids for a stratified split.

    Returns:
        Three sorted index tensors.

    Raises:
        DataError: there are fewer groups than splits, or the groups are the classes.
    """
    names, ids = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    wanted = {"test": test_fraction, "val": val_fraction}
    fractions = {split: fraction for split, fraction in wanted.items() if fraction > 0}
    if len(names) <= len(fractions):
        count = (
            f"there is only the group {str(names[0])!r}"
            if len(names) == 1
            else f"there are {len(names)} groups"
        )
        raise DataError(
            f"data.group: {count} for {len(fractions) + 1} splits, and each group is in one split. Choose a "
            "finer group, or give separate files for the splits."
        )
    classes = np.zeros(len(ids), dtype=int) if labels is None else labels.numpy()
    if labels is not None:
        reject_classes_as_groups(ids, classes)
    num_bins = max(len(fractions) + 1, min(MAX_BINS, len(names), int(np.bincount(classes).max())))
    bins = bins_of(ids, classes, num_bins, seed)
    sizes = {number: int((bins == number).sum()) for number in range(num_bins)}
    chosen: dict[str, np.ndarray] = {}
    for position, (split, fraction) in enumerate(fractions.items()):
        taken = closest_bins(sizes, fraction * len(ids), keep=len(fractions) - position)
        chosen[split] = np.isin(bins, taken)
        for number in taken:
            del sizes[number]
    chosen["train"] = np.isin(bins, list(sizes))
    nothing = np.zeros(len(ids), dtype=bool)
    train, val, test = (
        torch.from_numpy(np.flatnonzero(chosen.get(split, nothing))) for split in ("train", "val", "test")
    )
    return train, val, test


def reject_classes_as_groups(ids: np.ndarray, classes: np.ndarray) -> None:
    """Reject groups that are the classes, since no class would be in two splits.

    Raises:
        DataError: the groups are the classes.
    """
    num_pairs = len(np.unique(np.stack([ids, classes]), axis=1).T)
    num_classes = len(np.unique(classes))
    if num_classes > 1 and num_pairs == num_classes == len(np.unique(ids)):
        raise DataError(
            "data.group: every class is one group, so no class would be in two splits. Choose a finer group, "
            "such as a folder of each patient in the folder of its class."
        )


def bins_of(ids: np.ndarray, classes: np.ndarray, num_bins: int, seed: int) -> np.ndarray:
    """Return the bin of each sample; every bin has at least one group.

    Args:
        ids: the group of each sample, from 0, ``(N,)``.
        classes: class ids, ``(N,)``.
        num_bins: number of bins, at most that of the groups.
        seed: seed of the order of the groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    num_groups = int(ids.max()) + 1
    if num_bins == num_groups:
        return np.random.default_rng(seed).permutation(num_groups)[ids]
    bins = np.zeros(len(ids), dtype=int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about rare classes
        splitter = StratifiedGroupKFold(num_bins, shuffle=True, random_state=seed)
        for number, (_, members) in enumerate(splitter.split(ids, classes, ids)):
            bins[members] = number
    return bins


def closest_bins(sizes: Mapping[int, int], target: float, keep: int) -> list[int]:
    """Return bins, at least one, whose total size is close to a target.

    Args:
        sizes: number of samples of each bin.
        target: number of samples.
        keep: number of bins that must remain.
    """
    taken: list[int] = []
    total = 0
    while len(sizes) - len(taken) > keep:
        rest = {number: size for number, size in sizes.items() if number not in taken and size}
        if not rest:
            break
        best = min(rest, key=lambda number: abs(total + rest[number] - target))
        if taken and abs(total + rest[best] - target) >= abs(total - target):
            break
        taken.append(best)
        total += rest[best]
    return taken


def shared_groups(groups: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], list[str]]:
    """Return the groups that occur in two splits: ``(split, split)`` → their names, sorted."""
    shared = {}
    splits = list(groups)
    for position, first in enumerate(splits):
        for second in splits[position + 1 :]:
            if common := sorted(set(groups[first]) & set(groups[second])):
                shared[first, second] = common
    return shared
