"""K-fold cross-validation over the training and validation samples, with scikit-learn's splitters."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runner.errors import DataError

__all__ = ["FoldCut", "Folds"]

GroupOf = Callable[[int], Any]


@dataclass(frozen=True)
class FoldCut:
    """Samples cut into folds.

    Attributes:
        kind: name of the scikit-learn splitter.
        pool: indices of the samples in the folds, sorted, ``(n,)``.
        fold: fold in which each sample validates, ``(n,)``; -1 if in none.
        num_groups: number of groups; None without groups.
        rare: classes with fewer samples than folds: id → count.
        lone: classes whose samples are all in one fold: id → that fold.
        group_of: maps a sample's index to its group; None without groups.
        is_chain: whether each fold trains only on earlier samples.
    """

    kind: str
    pool: Tensor
    fold: Tensor
    num_groups: int | None = None
    rare: dict[int, int] = field(default_factory=dict)
    lone: dict[int, int] = field(default_factory=dict)
    group_of: GroupOf | None = None
    is_chain: bool = False

    def split(self, index: int) -> tuple[Tensor, Tensor]:
        """Returns the training and validation samples of fold ``index``, sorted."""
        validated = self.fold == index
        trained = self.fold < index if self.is_chain else ~validated
        return self.pool[trained], self.pool[validated]

    def sizes(self) -> list[int]:
        """Returns the number of validation samples of each fold."""
        return torch.bincount(self.fold[self.fold >= 0]).tolist()


@dataclass(frozen=True)
class Folds:
    """Settings of cross-validation; see ``runner.config.schema.Folds``.

    Attributes:
        index: the validation fold.
    """

    num_folds: int = 5
    index: int = 0
    stratified: bool | None = None
    group_column: str | None = None
    group_pattern: str | None = None
    seed: int = 0

    def cut(
        self,
        pool: Tensor,
        labels: Tensor | None = None,
        name: Callable[[int], str] | None = None,
        column: Callable[[str], Sequence[Any]] | None = None,
    ) -> FoldCut:
        """Cuts the samples of a source into folds.

        Args:
            pool: indices of the samples to cut, ``(n,)``.
            labels: class ids of all samples of the source; None without classes.
            name: maps a sample's index to its name.
            column: maps a column's name to the values of all samples.

        Raises:
            DataError: there are too few samples, or they cannot be grouped as configured.
        """
        if len(pool) < self.num_folds:
            raise DataError(
                f"folds.num_folds={self.num_folds}: there are {len(pool)} samples to cut. Use fewer folds."
            )
        if self.stratified and labels is None:
            raise DataError(
                "folds.stratified=true: the samples of this data set have no class labels. Remove it."
            )
        kept = labels[pool].numpy() if labels is not None and self.stratified is not False else None
        rare = self._rare(kept)
        group_of = self._group_of(name, column)
        groups = None if group_of is None else np.array([str(group_of(i)) for i in pool.tolist()])
        num_groups = None if groups is None else len(set(groups))
        if num_groups is not None and num_groups < self.num_folds:
            raise DataError(
                f"folds.num_folds={self.num_folds}: there are {num_groups} groups, and each is in one fold. "
                "Use fewer folds."
            )
        splitter = self._splitter(kept is not None, groups is not None)
        fold = torch.full((len(pool),), -1, dtype=torch.long)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about rare classes, which are reported by name
            for number, (_, validated) in enumerate(splitter.split(np.zeros(len(pool)), kept, groups)):
                if not len(validated):
                    raise DataError(
                        f"fold {number} would be empty: the groups are too unequal. Use fewer folds."
                    )
                fold[torch.from_numpy(validated)] = number
        lone = {} if kept is None else lone_classes(kept, fold.numpy())
        kind = "GroupKFold" if isinstance(splitter, ShuffledGroups) else type(splitter).__name__
        return FoldCut(kind, pool, fold, num_groups, rare, lone, group_of)

    def chain(self, num_steps: int) -> FoldCut:
        """Cuts time steps into consecutive folds, each trained on all earlier steps (forward chaining).

        Raises:
            DataError: groups or stratification are configured, or there are too few steps.
        """
        from sklearn.model_selection import TimeSeriesSplit

        if self.stratified or self.group_column or self.group_pattern:
            raise DataError(
                "folds.stratified and folds.group_… would have no effect: folds of a series follow each "
                "other in time. Remove them."
            )
        if num_steps <= self.num_folds:
            raise DataError(
                f"folds.num_folds={self.num_folds}: there are {num_steps} steps to cut. Use fewer folds."
            )
        fold = torch.full((num_steps,), -1, dtype=torch.long)
        for number, (_, validated) in enumerate(TimeSeriesSplit(self.num_folds).split(range(num_steps))):
            fold[torch.from_numpy(validated)] = number
        return FoldCut("TimeSeriesSplit", torch.arange(num_steps), fold, is_chain=True)

    def _splitter(self, stratified: bool, grouped: bool) -> Any:
        from sklearn import model_selection

        if grouped and not stratified:
            return ShuffledGroups(self.num_folds, self.seed)
        kinds = {False: model_selection.KFold, True: model_selection.StratifiedKFold}
        kind = model_selection.StratifiedGroupKFold if grouped else kinds[stratified]
        return kind(self.num_folds, shuffle=True, random_state=self.seed)

    def _rare(self, labels: np.ndarray | None) -> dict[int, int]:
        """Returns the classes with fewer samples than folds: id → count.

        Raises:
            DataError: no class has as many samples as there are folds.
        """
        if labels is None:
            return {}
        classes, counts = np.unique(labels, return_counts=True)
        if counts.max() < self.num_folds:
            raise DataError(
                f"folds.num_folds={self.num_folds}: the largest class has {counts.max()} samples, so none "
                "can be in every fold. Use fewer folds, or folds.stratified=false."
            )
        pairs = zip(classes.tolist(), counts.tolist(), strict=True)
        return {label: count for label, count in pairs if count < self.num_folds}

    def _group_of(
        self, name: Callable[[int], str] | None, column: Callable[[str], Sequence[Any]] | None
    ) -> GroupOf | None:
        if self.group_column is not None:
            if column is None:
                raise DataError(
                    f"folds.group_column={self.group_column}: this data set is not a table with columns. "
                    "Derive groups from the samples' names with folds.group_pattern."
                )
            return column(self.group_column).__getitem__
        if self.group_pattern is None:
            return None
        if name is None:
            raise DataError("folds.group_pattern: the samples of this data set have no names. Remove it.")
        pattern = re.compile(self.group_pattern)

        def group_of(index: int) -> str:
            match = pattern.search(name(index))
            if match is None:
                raise DataError(
                    f"folds.group_pattern={self.group_pattern!r} is not found in {name(index)!r}: every "
                    "sample needs a group."
                )
            return match.group(1 if pattern.groups else 0) or ""

        return group_of


@dataclass(frozen=True)
class ShuffledGroups:
    """Assigns groups to folds in a seeded random order, each to the currently smallest fold.

    scikit-learn's ``GroupKFold`` either ignores a seed or, shuffled, lets folds of groups of different sizes
    become very unequal. With a single class, ``StratifiedGroupKFold`` balances the sizes of shuffled groups.
    """

    num_folds: int
    seed: int

    def split(
        self, samples: np.ndarray, labels: None, groups: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the training and validation indices of each fold."""
        from sklearn.model_selection import StratifiedGroupKFold

        splitter = StratifiedGroupKFold(self.num_folds, shuffle=True, random_state=self.seed)
        return splitter.split(samples, np.zeros(len(groups), dtype=int), groups)


def lone_classes(labels: np.ndarray, fold: np.ndarray) -> dict[int, int]:
    """Returns the classes whose samples are all in one fold, which therefore never trains on them."""
    pairs = np.unique(np.stack([labels, fold]), axis=1)
    classes, counts = np.unique(pairs[0], return_counts=True)
    return {int(label): int(pairs[1][pairs[0] == label][0]) for label in classes[counts == 1]}
