"""The base of every data module."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, TypedDict

import torch
from annotated_types import Ge, Gt
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from runner.data.dropped import DroppedSamples
from runner.data.facts import Facts
from runner.data.folds import FoldCut, Folds
from runner.data.groups import group_pattern, groups_of_names, shared_groups, split_groups
from runner.data.measurements import Measurements
from runner.data.split import Split, make_loader
from runner.data.statistics import same_statistics
from runner.errors import DataError

__all__ = ["DataModule", "LoaderOptions", "split_indices"]

log = logging.getLogger(__name__)


def split_indices(
    num_samples: int,
    val_fraction: float,
    test_fraction: float = 0.0,
    seed: int = 0,
    labels: Tensor | None = None,
    at_least_one: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Splits ``range(num_samples)`` at random into train, val and test.

    Args:
        num_samples: number of samples.
        val_fraction: fraction of all samples for validation, 0 to 1.
        test_fraction: fraction of all samples for the test, 0 to 1.
        seed: seed of the generator; the split depends on nothing else.
        labels: ``(num_samples,)`` class ids for a stratified split.
        at_least_one: give each split at least one sample of every class, as far as the class has enough
            samples.

    Returns:
        Three sorted index tensors.
    """
    generator = torch.Generator().manual_seed(seed)
    groups = [torch.arange(num_samples)]
    if labels is not None:
        groups = [torch.nonzero(labels == label).flatten() for label in torch.unique(labels)]
    train, val, test = [], [], []
    for group in groups:
        order = group[torch.randperm(len(group), generator=generator)]
        num_val, num_test = round(len(group) * val_fraction), round(len(group) * test_fraction)
        if at_least_one and len(group) > (val_fraction > 0) + (test_fraction > 0):
            num_val, num_test = max(num_val, int(val_fraction > 0)), max(num_test, int(test_fraction > 0))
        val.append(order[:num_val])
        test.append(order[num_val : num_val + num_test])
        train.append(order[num_val + num_test :])
    first, second, third = (torch.cat(part).sort().values for part in (train, val, test))
    return first, second, third


def draw_weights(split: Split, balance: float) -> Tensor:
    """Returns the sampling weight of each sample of a split, ``(n,)``; see ``runner.config.schema.Sampling``.

    Raises:
        DataError: the samples have no classes.
    """
    targets = getattr(split.source, "targets", None)
    if not isinstance(targets, Tensor) or targets.ndim != 1 or targets.is_floating_point():
        raise DataError("sampling.balance: the samples of this data set have no class labels. Remove it.")
    targets = targets[split.indices]
    counts = targets.bincount().double()
    return (counts[targets] ** -balance).float()


class LoaderOptions(TypedDict, total=False):
    """Keyword arguments that data modules forward to ``DataModule``.

    Its constructor documents them and sets their bounds and defaults.
    """

    eval_batch_size: int | None
    num_workers: int
    seed: int
    drop_last: bool
    group: str | None


class DataModule(LightningDataModule):
    """Splits, facts and loaders of one data set.

    A subclass fills ``self.splits`` and ``self.facts`` in ``setup`` and may override ``check`` and
    ``prepare_data``. Its constructor reads no data; arguments of the loaders are forwarded by name:
    ``def __init__(self, *, …, batch_size=32, **options: Unpack[LoaderOptions])``.

    Args:
        batch_size: samples per training batch, summed over all devices.
        eval_batch_size: samples per validation and test batch; ``batch_size`` when None.
        num_workers: number of loader processes.
        seed: seed of the sample order and the augmentation (a random split into train, val and test has its
            own seed).
        drop_last: drop the last training batch if it is incomplete.
        group: keeps all samples of a group, such as a patient or speaker, in one split and one fold. For
            tables the name of a column, which is then no feature; for files ``folder``, the name of the
            folder of a file, or a regular expression that matches the group in its path: ``patient([0-9]+)``.

    Attributes:
        splits: ``train``, ``val`` and optionally ``test``.
        facts: available after ``setup``.
        normalize: applied to the inputs on the device; serving and prediction use it too.
        rank, world_size: select the share of each batch that the loaders yield.
        balance: strength of class balancing in training, from 0 to 1.
        lower_origin: whether the first row of an image lies at the bottom.
        extra_facts: names of the facts provided beyond the common ones, so that a config that refers to an
            unknown fact is rejected early; None if they are not known beforehand.
        no_folds: why the samples cannot be cut into folds; None if they can.
        groups_by: where ``group`` finds the groups: in a ``column`` of a table, or in the ``name`` of a
            sample; None if the data set has no groups.
        folds: cross-validation folds; None for a single split.
        fold_cut: the resulting folds; available after ``setup``.
        num_groups: number of groups of each split that was made by ``group``; available after ``setup``.
        no_folds_with: settings that exclude folds.
        dropped: samples that do not reach training, with the reasons; complete after ``setup``. Printed
            before training starts and stored in ``facts.json``.
    """

    extra_facts: ClassVar[tuple[str, ...] | None] = None
    no_folds: ClassVar[str | None] = None
    no_folds_with: ClassVar[tuple[str, ...]] = ()
    lower_origin: ClassVar[bool] = False
    groups_by: ClassVar[Literal["column", "name"] | None] = None

    def __init__(
        self,
        batch_size: Annotated[int, Gt(0)] = 64,
        eval_batch_size: Annotated[int, Gt(0)] | None = None,
        num_workers: Annotated[int, Ge(0)] = 0,
        seed: Annotated[int, Ge(0)] = 0,
        drop_last: bool = False,
        group: str | None = None,
    ) -> None:
        super().__init__()
        self.group = group
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
        self.num_groups: dict[str, int] = {}
        self._reported_shared: set[tuple[str, str]] = set()
        self.dropped = DroppedSamples()

    def take_folds(self, folds: Folds) -> None:
        """Enables cross-validation.

        ``setup`` will cut the training and validation samples into these folds. Folds without groups of
        their own have those of ``group``.
        """
        if self.group is not None and folds.group_column is None and folds.group_pattern is None:
            if self.groups_by == "column":
                folds = replace(folds, group_column=self.group)
            elif self.groups_by == "name":
                folds = replace(folds, group_pattern=group_pattern(self.group))
        self.folds = folds

    def split_samples(
        self,
        num_samples: int,
        val_fraction: float,
        test_fraction: float = 0.0,
        seed: int = 0,
        labels: Tensor | None = None,
        groups: Callable[[], Sequence[str]] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Splits samples at random into train, val and test: whole groups with ``group``.

        Args:
            num_samples: number of samples, N.
            val_fraction: fraction of all samples for validation, 0 to 1.
            test_fraction: fraction of all samples for the test, 0 to 1.
            seed: seed of the split.
            labels: ``(N,)`` class ids for a stratified split.
            groups: returns the group of each sample; only called with ``group``.

        Returns:
            Three sorted index tensors.

        Raises:
            DataError: there are fewer groups than splits.
        """
        if self.group is None or groups is None:
            return split_indices(num_samples, val_fraction, test_fraction, seed, labels)
        parts = split_groups(names := groups(), val_fraction, test_fraction, seed, labels)
        sizes = {
            split: len({names[index] for index in part.tolist()})
            for split, part in zip(("train", "val", "test"), parts, strict=True)
            if len(part)
        }
        self.num_groups = sizes
        return parts

    def split_names(
        self,
        names: Sequence[str],
        val_fraction: float,
        test_fraction: float = 0.0,
        seed: int = 0,
        labels: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Splits samples with names as ``split_samples`` does; ``group`` applies to the names."""
        rule = self.group or ""
        return self.split_samples(
            len(names), val_fraction, test_fraction, seed, labels, lambda: groups_of_names(rule, names)
        )

    def report_shared_groups(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Warns of groups that occur in two splits, which the user has separated.

        Args:
            groups: the group of each sample, by split.
        """
        for (first, second), names in shared_groups(groups).items():
            if (first, second) in self._reported_shared:
                continue
            self._reported_shared.add((first, second))
            examples = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
            log.warning(
                "data.group=%s: %d groups of %s also occur in %s (%s), so its metrics may be too good.",
                self.group,
                len(names),
                second,
                first,
                examples,
            )

    def report_shared_names(self) -> None:
        """Warns of groups of named samples that occur in two splits; see ``report_shared_groups``."""
        if self.group is not None:
            names = {
                split: [part.name(index) for index in part.indices.tolist()]
                for split, part in self.splits.items()
            }
            rule = self.group
            self.report_shared_groups({split: groups_of_names(rule, of) for split, of in names.items()})

    def fold(
        self,
        train: Tensor,
        val: Tensor,
        labels: Tensor | None = None,
        name: Callable[[int], str] | None = None,
        column: Callable[[str], Sequence[Any]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Returns the training and validation indices; with folds, both are pooled and cut into folds.

        Args:
            train: indices of the training samples in a source, ``(n,)``.
            val: indices of the validation samples in the same source, ``(m,)``.
            labels: class ids of all samples of the source; None without classes.
            name: maps a sample's index to its name.
            column: maps a column's name to the values of all samples.

        Raises:
            DataError: the samples cannot be cut into these folds; see ``Folds.cut``.
        """
        if self.folds is None:
            return train, val
        self.fold_cut = self.folds.cut(torch.cat([train, val]).sort().values, labels, name, column)
        return self.fold_cut.split(self.folds.index)

    @classmethod
    def default_of(cls, argument: str) -> Any:
        """Returns the default of a constructor argument; None if it has none.

        The argument may be forwarded to a base class.
        """
        for kind in cls.__mro__:
            if "__init__" not in vars(kind):
                continue
            parameters = inspect.signature(vars(kind)["__init__"]).parameters
            if argument in parameters:
                default = parameters[argument].default
                return None if default is inspect.Parameter.empty else default
            if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters.values()):
                break
        return None

    @classmethod
    def fact_names(cls) -> list[str] | None:
        """Returns the names of the facts a config may refer to; None if they are not known beforehand."""
        return None if cls.extra_facts is None else [*Facts.common_names(), *cls.extra_facts]

    def require_facts(self) -> Facts:
        """Returns the facts.

        Raises:
            DataError: ``setup`` has not been called.
        """
        if self.facts is None:
            raise DataError(f"{type(self).__name__} has no facts before setup().")
        return self.facts

    def check(self) -> list[str]:
        """Returns problems that can be found without reading the data, such as a missing folder."""
        return []

    def measurements(self) -> Measurements:
        """Returns sizes and lengths of training samples; available after ``setup``."""
        return Measurements()

    def set_rank(self, rank: int, world_size: int) -> None:
        """Makes the loaders yield one rank's share of each batch.

        Raises:
            DataError: a split has too few samples to give every rank one.
        """
        for name, split in self.splits.items():
            if 0 < len(split) < world_size:
                raise DataError(
                    f"{name} has {len(split)} samples, which cannot be distributed over {world_size} "
                    "devices. Use fewer devices, or more samples."
                )
        self.rank, self.world_size = rank, world_size

    def split_sizes(self) -> dict[str, Any]:
        """Returns ``num_train``, ``num_val`` … of the facts."""
        return {f"num_{name}": len(split) for name, split in self.splits.items()}

    def sample_name(self, split: str, index: int) -> str:
        """Returns the name of a sample in messages and tables."""
        return self.splits[split].name(index)

    def reject_change(self, state_dict: dict[str, Any], name: str, difference: str) -> None:
        """Rejects a checkpoint whose data differ from those read by ``setup``.

        Args:
            state_dict: state of the data module in the checkpoint.
            name: name of the data, for the message.
            difference: description of the difference, for the message.

        Raises:
            DataError: the data have changed since the run began.
        """
        if self.splits and not same_statistics(state_dict, self.state_dict()):
            raise DataError(
                f"{name} has changed since this run began: {difference}. Restore the original data, or "
                "start a new run."
            )

    def read_inputs(self, paths: Sequence[str]) -> Iterable[tuple[str, Tensor]]:
        """Yields named inputs for prediction, shaped like the samples of a split before ``normalize``.

        Implementations should read them lazily: a folder may not fit into memory.

        Raises:
            DataError: this data set cannot read such inputs.
        """
        raise DataError(f"{type(self).__name__} cannot read new inputs ({', '.join(map(str, paths[:3]))}).")

    def batch_inputs(self, inputs: Sequence[Tensor]) -> Any:
        """Collates inputs from ``read_inputs`` like a batch of the splits, before ``normalize``."""
        return torch.stack(list(inputs))

    def in_units(self, outputs: dict[str, Any], inputs: Sequence[Tensor]) -> dict[str, Any]:
        """Converts the task's outputs to the unit of each input.

        Args:
            outputs: outputs of the task for these inputs.
            inputs: inputs from ``read_inputs``.
        """
        return outputs

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of token ids.

        Raises:
            DataError: this data set has no tokens.
        """
        raise DataError(f"{type(self).__name__} has no tokens to decode.")

    def features(self) -> list[tuple[str, str]]:
        """Returns each feature of a table with its source column.

        Available after ``setup`` or ``load_state_dict``.
        """
        return []

    def present(self, row: dict[str, Any]) -> dict[str, Any]:
        """Converts a row of predictions to a readable form, if this needs information from the data set."""
        return row

    def picture(self, image: Tensor, target: Any) -> tuple[Tensor, str]:
        """Returns a picture of an image sample, uint8 ``(C, H, W)``, and a short caption."""
        value = torch.as_tensor(target).flatten()[0].item()
        names = self.require_facts().class_names
        return image, names[int(value)] if names else f"{value:.3g}"

    def train_dataloader(self) -> DataLoader[Any]:
        options = {"weights": draw_weights(self.splits["train"], self.balance)} if self.balance else {}
        train = self.splits["train"]
        return self._loader(train, self.batch_size, shuffle=True, drop_last=self.drop_last, **options)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        return self.eval_loader("val")

    def test_dataloader(self) -> DataLoader[Any] | list[Any]:
        return self.eval_loader("test")

    def eval_loader(self, split: str) -> DataLoader[Any] | list[Any]:
        """Returns a loader that treats any split, including the training split, like validation data.

        It is an empty list if the split does not exist.
        """
        return (
            self._loader(self.as_held_out(split), self.eval_batch_size)
            if len(self.splits.get(split, ()))
            else []
        )

    def as_held_out(self, split: str) -> Split:
        """Returns a split whose samples are neither augmented nor collated as in training."""
        part, val = self.splits[split], self.splits.get("val")
        if split != "train" or not isinstance(part, Split) or val is None:
            return part
        part = copy(part)
        part.transform, part.collate = val.transform, val.collate
        return part

    def _loader(self, split: Split, batch_size: int, **options: Any) -> DataLoader[Any]:
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
