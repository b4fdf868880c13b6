"""The base of every data module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from runner.data.dropped import DroppedSamples
from runner.data.facts import Facts
from runner.data.folds import FoldCut, Folds
from runner.data.loader import make_loader
from runner.data.split import Split
from runner.errors import DataError

__all__ = ["DataModule", "split_indices"]


def split_indices(
    num_samples: int,
    val_fraction: float,
    test_fraction: float = 0.0,
    seed: int = 0,
    labels: Tensor | None = None,
    at_least_one: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Cuts ``range(num_samples)`` at random into train, val and test.

    Args:
        num_samples: how many there are.
        val_fraction, test_fraction: of all samples, 0 to 1.
        seed: of the generator; the cut depends on nothing else.
        labels: ``(num_samples,)`` class ids: each class is cut in the same proportion.
        at_least_one: a class of few samples gives each split one, where its share would be none, as far as they go round.

    Returns:
        Three sorted index tensors.
    """
    generator = torch.Generator().manual_seed(seed)
    groups = [torch.arange(num_samples)]
    if labels is not None:
        groups = [torch.nonzero(labels == label).flatten() for label in labels.unique()]
    train, val, test = [], [], []
    for group in groups:
        order = group[torch.randperm(len(group), generator=generator)]
        num_val, num_test = round(len(group) * val_fraction), round(len(group) * test_fraction)
        if at_least_one and len(group) > (val_fraction > 0) + (test_fraction > 0):
            num_val, num_test = max(num_val, int(val_fraction > 0)), max(num_test, int(test_fraction > 0))
        val.append(order[:num_val])
        test.append(order[num_val : num_val + num_test])
        train.append(order[num_val + num_test :])
    return tuple(torch.cat(part).sort().values for part in (train, val, test))


def draw_weights(split: Split, balance: float) -> Tensor:
    """How often each sample of a split is drawn, ``(n,)``: see ``runner.config.schema.Sampling``.

    Raises:
        DataError: the samples have no classes.
    """
    targets = getattr(split.source, "targets", None)
    if not isinstance(targets, Tensor) or targets.ndim != 1 or targets.is_floating_point():
        raise DataError("sampling.balance: the samples of this data set have no class each. Take it away.")
    targets = targets[split.indices]
    counts = targets.bincount().double()
    return (counts[targets] ** -balance).float()


class DataModule(LightningDataModule):
    """Splits, facts and loaders of one data set.

    A subclass fills ``self.splits`` and ``self.facts`` in ``setup`` and may override ``check`` and
    ``prepare_data``. Its constructor reads nothing.

    Args:
        batch_size: samples a training batch, of all devices together.
        eval_batch_size: samples a batch of validation and test; ``batch_size`` when None.
        num_workers: loader processes.
        seed: of the order and the augmentation (the cut into splits has its own seed where there is one).
        drop_last: leave out a last training batch that is not full.

    Attributes:
        splits: ``train``, ``val`` and, where there is one, ``test``.
        facts: known after ``setup``.
        normalize: applied to the inputs on the device; serving and prediction use it too.
        rank, world_size: which share of each batch the loaders give.
        balance: how far training draws small classes more often, from 0 to 1.
        lower_origin: whether the first row of an image lies at the bottom.
        extra_facts: names of the facts it tells beyond those of every data set, so that a config that asks for
            another is refused before any work; None does not say.
        no_folds: why its samples can never be cut into folds; None where they can.
        folds: of cross-validation; None for a single cut.
        fold_cut: how they were cut; known after ``setup``.
        dropped: samples that do not reach training, with the reasons; complete after ``setup``. Printed before training
            starts and stored in ``facts.json``.
    """

    extra_facts: ClassVar[tuple[str, ...] | None] = None
    no_folds: ClassVar[str | None] = None
    lower_origin: ClassVar[bool] = False

    def __init__(
        self,
        batch_size: Annotated[int, Gt(0)] = 64,
        eval_batch_size: Annotated[int, Gt(0)] | None = None,
        num_workers: Annotated[int, Ge(0)] = 0,
        seed: Annotated[int, Ge(0)] = 0,
        drop_last: bool = False,
    ):
        super().__init__()
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.drop_last = drop_last
        self.splits: dict[str, Split] = {}
        self.facts: Facts | None = None
        self.normalize: nn.Module = nn.Identity()
        self.rank = 0
        self.world_size = 1
        self.balance = 0.0
        self.folds: Folds | None = None
        self.fold_cut: FoldCut | None = None
        self.dropped = DroppedSamples()

    def take_folds(self, folds: Folds) -> None:
        """Cross-validation: ``setup`` will cut the samples it would train and validate on into these folds."""
        self.folds = folds

    def fold(
        self,
        train: Tensor,
        val: Tensor,
        labels: Tensor | None = None,
        name: Callable[[int], str] | None = None,
        column: Callable[[str], Sequence[Any]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """What trains and validates, as a subclass has cut it; where there are folds, both together are cut anew.

        Args:
            train, val: indices of one source, ``(n,)`` and ``(m,)``.
            labels, name, column: of the samples of that source; see ``Folds.cut``.

        Raises:
            DataError: see there.
        """
        if self.folds is None:
            return train, val
        self.fold_cut = self.folds.cut(torch.cat([train, val]).sort().values, labels, name, column)
        return self.fold_cut.split(self.folds.index)

    @classmethod
    def fact_names(cls) -> list[str] | None:
        """The facts a config may ask for; None when that is not known beforehand."""
        return None if cls.extra_facts is None else [*Facts.common_names(), *cls.extra_facts]

    def check(self) -> list[str]:
        """Problems that can be seen without reading the data: a missing folder, a class without images."""
        return []

    def set_rank(self, rank: int, world_size: int) -> None:
        """From now on the loaders give one rank's share of each batch.

        Raises:
            DataError: some rank would get nothing of a split.
        """
        for name, split in self.splits.items():
            if 0 < len(split) < world_size:
                raise DataError(
                    f"{name} has {len(split)} samples, which cannot be dealt out to {world_size} devices. "
                    "Take fewer devices, or more samples."
                )
        self.rank, self.world_size = rank, world_size

    def sample_name(self, split: str, index: int) -> str:
        return self.splits[split].name(index)

    def reject_change(self, state_dict: dict[str, Any], name: str, told: str) -> None:
        """Holds what a checkpoint knows of the data against what ``setup`` learnt of them.

        Args:
            name: of the data, for the message.
            told: what is different.

        Raises:
            DataError: the data are no longer those the run began with.
        """
        if self.splits and state_dict != self.state_dict():
            raise DataError(
                f"{name} has changed since this run began: {told}. Bring the old data back, or start a new run."
            )

    def read_inputs(self, paths: Sequence[str]) -> Iterable[tuple[str, Tensor]]:
        """New inputs for a prediction, by name, each shaped as the split's samples are before ``normalize``.

        Best one after the other, when it is asked for the next: a folder may hold more than memory does.

        Raises:
            DataError: this data set cannot read such inputs.
        """
        raise DataError(f"{type(self).__name__} cannot read new inputs ({', '.join(map(str, paths[:3]))}).")

    def batch_inputs(self, inputs: Sequence[Tensor]) -> Any:
        """Some of ``read_inputs`` as a batch of the splits has them, before ``normalize``."""
        return torch.stack(list(inputs))

    def in_units(self, outputs: dict[str, Any], inputs: Sequence[Tensor]) -> dict[str, Any]:
        """The task's outputs of some of ``read_inputs``, for data whose unit depends on the input."""
        return outputs

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids.

        Raises:
            DataError: this data set has no tokens.
        """
        raise DataError(f"{type(self).__name__} has no tokens to be read as text.")

    def features(self) -> list[tuple[str, str]]:
        """Of rows of a table: each feature, and the column it is made of. Known after ``setup``, or with a state."""
        return []

    def present(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row of a prediction as a person reads it, where that takes what only the data know."""
        return row

    def picture(self, image: Tensor, target: Any) -> tuple[Tensor, str]:
        """What to look at of a sample of images, uint8 ``(C, H, W)``, and a few words on it."""
        value = torch.as_tensor(target).flatten()[0].item()
        names = self.facts.class_names
        return image, names[int(value)] if names else f"{value:.3g}"

    def train_dataloader(self) -> DataLoader:
        options = {"weights": draw_weights(self.splits["train"], self.balance)} if self.balance else {}
        train = self.splits["train"]
        return self._loader(train, self.batch_size, shuffle=True, drop_last=self.drop_last, **options)

    def val_dataloader(self) -> DataLoader | list:
        return self.eval_loader("val")

    def test_dataloader(self) -> DataLoader | list:
        return self.eval_loader("test")

    def eval_loader(self, split: str) -> DataLoader | list:
        """A split in its own order, its samples treated as those of validation, also where it is the training split;
        empty when there is none."""
        return self._loader(self.as_held_out(split), self.eval_batch_size) if len(self.splits.get(split, ())) else []

    def as_held_out(self, split: str) -> Split:
        """A split whose samples are neither augmented nor batched as in training."""
        part, val = self.splits[split], self.splits.get("val")
        if split != "train" or not isinstance(part, Split) or val is None:
            return part
        part = copy(part)
        part.transform, part.collate = val.transform, val.collate
        return part

    def _loader(self, split: Split, batch_size: int, **options: Any) -> DataLoader:
        pin_memory = torch.cuda.is_available()
        return make_loader(
            split,
            batch_size,
            seed=self.seed,
            num_workers=self.num_workers,
            pin_memory=pin_memory,
            rank=self.rank,
            world_size=self.world_size,
            **options,
        )

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        if isinstance(batch.get("inputs"), Tensor):
            batch["inputs"] = self.normalize(batch["inputs"])
        return batch
