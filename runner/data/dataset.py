"""Any map-style ``torch.utils.data.Dataset`` as the data of a run."""

from __future__ import annotations

import functools
import inspect
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Unpack

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from runner.data.base import DataModule, LoaderOptions, split_indices
from runner.data.dataset_items import ItemReader, MapDataset, Scan, Target, scan, seeded_everywhere
from runner.data.facts import Facts
from runner.data.labels import clean_label
from runner.data.sampler import seed_of
from runner.data.split import Split
from runner.data.standardize import needs_float64
from runner.errors import DataError

__all__ = ["DatasetDataModule"]

log = logging.getLogger(__name__)

Given = MapDataset | Callable[[], MapDataset] | None
"""A dataset, a function that builds it, or None."""
FRACTION = 0.2


class DatasetDataModule(DataModule):
    """The items of one, two or three datasets.

    An item is a pair ``(x, y)``, or a dict with an input and a target. ``x`` is a tensor, array, image or
    list of numbers, of one shape in all items. ``y`` is a class id from 0, a class name (a string), or one or
    several numbers. Shape, classes and number of outputs are inferred by reading every item once.

    Random numbers that ``__getitem__`` draws from the generators of torch, NumPy or Python depend only on
    seed, epoch and item, so that a resumed run sees the same augmentation. Items of the validation and test
    splits are the same in every epoch.

    Args:
        train: the training dataset.
        val: the validation dataset; without one, ``val_fraction`` of the training dataset is used.
        test: the test dataset; without one, ``test_fraction`` of the training dataset is used.
        task: ``regression`` if whole numbers are quantities; otherwise the targets decide. The task's class
            does, too.
        class_names: names of the classes, in the order of their ids; the dataset's ``classes`` when None, or
            else the ids themselves.
        input_key: key of the input, if items are dicts; found by its usual names when None (``inputs``,
            ``input``, ``x``, ``image``, ``features``).
        target_key: key of the target, if items are dicts; found by its usual names when None (``targets``,
            ``target``, ``y``, ``label``, ``labels``).
        target_names: names of the numbers to predict; ``target`` or ``target_0``, ``target_1`` … when None.
        val_fraction: fraction of the training dataset for validation, split at random; each class in the same
            proportion.
        test_fraction: the same for the test; when None 0.2, or 0 with a validation or test dataset.
        split_seed: seed of that split.
    """

    extra_facts = ("target_names", "target_mean", "target_std", "num_features", "vocab_size", "per_step")

    def __init__(
        self,
        *,
        train: Given = None,
        val: Given = None,
        test: Given = None,
        task: str | None = None,
        class_names: list[str] | None = None,
        input_key: str | None = None,
        target_key: str | None = None,
        target_names: list[str] | None = None,
        val_fraction: Annotated[float, Gt(0), Lt(1)] = FRACTION,
        test_fraction: Annotated[float, Ge(0), Lt(1)] | None = None,
        split_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 32,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        parts = {"train": train, "val": val, "test": test}
        self.given = {name: part for name, part in parts.items() if part is not None}
        self.task = task or ""
        self.class_names = list(class_names or [])
        self.keys = (input_key, target_key)
        self.target_names = list(target_names or [])
        self.val_fraction = val_fraction
        self.test_fraction = FRACTION if val is None and test is None else 0.0
        if test_fraction is not None:
            self.test_fraction = test_fraction
        self.split_seed = split_seed
        self.datasets: dict[str, MapDataset] = {}

    def check(self) -> list[str]:
        """Returns problems that can be found without building the datasets."""
        problems = []
        if "train" not in self.given:
            problems.append("data.train is not set: name a dataset with data.train._target_=MODULE.CLASS.")
        for split, given in self.given.items():
            problems += dataset_problems(f"data.{split}", given)
        if "val" not in self.given and self.val_fraction + self.test_fraction >= 1:
            problems.append(
                f"data.val_fraction={self.val_fraction:g} and data.test_fraction={self.test_fraction:g} "
                "leave no training samples."
            )
        if "test" in self.given and self.test_fraction:
            problems.append(
                "data.test_fraction would have no effect: data.test is given. Remove one of them."
            )
        return problems

    def prepare_data(self) -> None:
        """Builds the datasets, whose constructors may download."""
        for split, given in self.given.items():
            if split not in self.datasets:
                self.datasets[split] = built(f"data.{split}", given)

    def setup(self, stage: str | None = None) -> None:
        """Reads every item once, and infers the facts. Not needed for prediction.

        Raises:
            DataError: the items are not suitable; the message names one.
        """
        if self.splits or stage == "predict":
            return
        problems = self.check()
        if problems:
            raise DataError("\n".join(problems))
        self.prepare_data()
        readers = {split: ItemReader(name_of(part), *self.keys) for split, part in self.datasets.items()}
        scans = {split: scan(part, readers[split], self.seed) for split, part in self.datasets.items()}
        self._check_scans(scans)
        if self._has_classes(scans):
            self.class_names = self._find_class_names(scans)
        sources = {
            split: DatasetSource(
                part, readers[split], self._targets(scans[split], readers[split].name), self.class_names
            )
            for split, part in self.datasets.items()
        }
        self.splits = self._split(sources)
        self.facts = self._make_facts(scans, sources["train"])

    def _check_scans(self, scans: dict[str, Scan]) -> None:
        """Checks that the splits are alike, and reports datasets that are random in another way."""
        train = scans["train"]
        for split, other in scans.items():
            if other.input_shape != train.input_shape:
                raise DataError(
                    f"data.{split} has inputs of shape {other.input_shape}, data.train of shape "
                    f"{train.input_shape}."
                )
            if other.kinds() != train.kinds():
                names = [
                    " and ".join(sorted(kind.__name__ for kind in part.kinds())) for part in (other, train)
                ]
                raise DataError(
                    f"data.{split} has targets of type {names[0]}, data.train of type {names[1]}."
                )
            if other.is_random:
                log.warning(
                    "data.%s: an item differs between two reads. A resumed run repeats random numbers of "
                    "torch, NumPy's np.random and Python's random only, not those of other generators.",
                    split,
                )

    def _has_classes(self, scans: dict[str, Scan]) -> bool:
        """Returns whether the targets are classes.

        Raises:
            DataError: they do not suit the task.
        """
        (kind,) = scans["train"].kinds()
        wanted = self.task.lower()
        if "regression" in wanted:
            if kind is str:
                raise DataError("the targets are strings, which are classes. Choose task=classification.")
            return False
        if kind is Tensor and any(word in wanted for word in ("classification", "binary")):
            raise DataError(
                "the targets are floating-point numbers, but the task is classification. Return class ids as "
                "int (or long tensors), or choose task=regression."
            )
        return kind is not Tensor

    def _find_class_names(self, scans: dict[str, Scan]) -> list[str]:
        targets = [target for part in scans.values() for target in part.targets]
        names = self.class_names or [str(name) for name in getattr(self.datasets["train"], "classes", [])]
        if isinstance(targets[0], str):
            labels = sorted({clean_label(str(target)) for target in targets})
            if unknown := sorted(set(labels) - set(names or labels)):
                raise DataError(f"the target {unknown[0]!r} is not among the class names {names}.")
            return names or labels
        ids = [int(target) for target in targets]
        if min(ids) < 0:
            raise DataError(f"the target {min(ids)} is negative; class ids start at 0.")
        if names and max(ids) >= len(names):
            raise DataError(f"the target {max(ids)} is beyond the {len(names)} class names {names}.")
        if not names and max(ids) >= len(ids):
            raise DataError(
                f"the targets are whole numbers up to {max(ids)} in {len(ids)} items, more classes than "
                "items. Number the classes from 0, or choose task=regression if they are quantities."
            )
        return names or [str(number) for number in range(max(ids) + 1)]

    def _targets(self, part: Scan, name: str) -> Tensor:
        """Returns class ids ``(n,)`` or numbers ``(n, K)``."""
        if self.class_names:
            return torch.tensor([class_id(target, self.class_names, name) for target in part.targets])
        numbers = torch.stack([as_numbers(target) for target in part.targets])
        return numbers if needs_float64(numbers) else numbers.float()

    def _split(self, sources: dict[str, DatasetSource]) -> dict[str, Split]:
        source = sources["train"]
        labels = source.targets if self.class_names else None
        val_fraction = 0.0 if "val" in sources else self.val_fraction
        train, val, test = split_indices(
            len(source), val_fraction, self.test_fraction, self.split_seed, labels, at_least_one=True
        )
        if self.folds is not None and "val" in sources:
            raise DataError(
                "folds: data.val is given, but folds are cut from data.train alone. Remove data.val."
            )
        train, val = self.fold(train, val, labels, source.name)
        parts = {"train": (source, train), "val": (source, val), "test": (source, test)}
        for split in ("val", "test"):
            if split in sources:
                parts[split] = (sources[split], torch.arange(len(sources[split])))
        for split, (_, indices) in parts.items():
            if not len(indices) and split != "test":
                raise DataError(f"{split} has no samples: {source.name_of_dataset} has {len(source)} items.")
        return {
            split: DatasetSplit(part, indices, self.seed, is_fixed=split != "train")
            for split, (part, indices) in parts.items()
            if len(indices)
        }

    def _make_facts(self, scans: dict[str, Scan], source: DatasetSource) -> Facts:
        train, shape = self.splits["train"], scans["train"].input_shape
        targets, classes = source.targets[train.indices], len(self.class_names)
        extra: dict[str, Any] = {}
        if len(shape) == 2:
            extra = {"num_features": shape[-1], "vocab_size": 0, "per_step": False}
        if not classes:
            numbers = targets.double()
            usual = ["target"] if numbers.shape[1] == 1 else [f"target_{i}" for i in range(numbers.shape[1])]
            if self.target_names and len(self.target_names) != len(usual):
                raise DataError(
                    f"data.target_names has {len(self.target_names)} names, but a target has {len(usual)} "
                    "numbers."
                )
            extra |= {
                "target_names": self.target_names or usual,
                "target_mean": numbers.mean(0).tolist(),
                "target_std": numbers.std(0, correction=0).tolist(),
            }
        return Facts(
            task="classification" if classes else "regression",
            input_shape=shape,
            num_outputs=classes or targets.shape[1],
            class_names=self.class_names,
            class_counts=torch.bincount(targets, minlength=classes).tolist() if classes else [],
            **self.split_sizes(),
            name=source.name_of_dataset,
            source=source_of(self.datasets["train"]),
            digest="-".join(part.digest for part in scans.values()),
            extra=extra,
        )

    def picture(self, image: Tensor, target: Any) -> tuple[Tensor, str]:
        """Returns a picture of an image, uint8 ``(C, H, W)`` scaled from its own range, and a caption."""
        low, high = image.min(), image.max()
        scaled = 255 * (image - low) / (high - low).clamp_min(1e-12)
        return super().picture(scaled.byte(), target)

    def state_dict(self) -> dict[str, Any]:
        """Returns the class names, by which a checkpoint identifies the classes."""
        return {"class_names": list(self.class_names)} if self.class_names else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the class names.

        Raises:
            DataError: ``setup`` already found different classes.
        """
        self.reject_change(state_dict, "the dataset", "its classes differ")
        self.class_names = list(state_dict.get("class_names", self.class_names))


class DatasetSource:
    """The items of a dataset as inputs and targets.

    Args:
        dataset: the dataset.
        reader: converts its items.
        targets: class ids ``(n,)`` or numbers ``(n, K)`` of all items.
        class_names: names of the classes; empty for numbers.
    """

    def __init__(
        self, dataset: MapDataset, reader: ItemReader, targets: Tensor, class_names: list[str]
    ) -> None:
        self.dataset = dataset
        self.reader = reader
        self.targets = targets
        self.class_names = class_names
        self.name_of_dataset = reader.name

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        value, target = self.reader(self.dataset[index], index)
        if self.class_names:
            return value, torch.tensor(class_id(target, self.class_names, self.reader.name))
        return value, as_numbers(target).to(self.targets.dtype)

    def name(self, index: int) -> str:
        """Returns the name of an item in messages."""
        return f"{self.name_of_dataset} item {index}"


class DatasetSplit(Split):
    """Batches of a dataset whose random numbers depend only on seed, epoch and item.

    Args:
        source: the items.
        indices: indices of the split's items, ``(n,)``.
        seed: seed of the random numbers.
        is_fixed: whether items are the same in every epoch.
    """

    def __init__(self, source: DatasetSource, indices: Tensor, seed: int, is_fixed: bool) -> None:
        super().__init__(source, indices, None, seed)
        self.is_fixed = is_fixed

    def sample(self, epoch: int, position: int) -> tuple[Any, Any]:
        """Returns one item as it is read in an epoch; see ``Split.sample``."""
        epoch = 0 if self.is_fixed else epoch
        with seeded_everywhere(seed_of(self.seed, epoch, int(self.indices[position]))):
            return super().sample(epoch, position)


def class_id(target: Target, class_names: list[str], name: str) -> int:
    """Returns the id of a class, given by its id or name.

    Raises:
        DataError: there is no such class.
    """
    if isinstance(target, str):
        label = clean_label(target)
        if label in class_names:
            return class_names.index(label)
    elif isinstance(target, int) and 0 <= target < len(class_names):
        return target
    raise DataError(f"{name}: the target {target!r} is not a class; the first pass found {class_names}.")


def as_numbers(target: Target) -> Tensor:
    """Returns the numbers of a regression target, float64 ``(K,)``."""
    return target if isinstance(target, Tensor) else torch.tensor([float(target)], dtype=torch.float64)


def dataset_problems(key: str, given: Any) -> list[str]:
    """Returns problems of a dataset, or of the constructor and arguments that will build it."""
    kind: Any = type(given)
    if isinstance(given, functools.partial):
        kind, missing_names = given.func, missing_arguments(given)
        if missing_names or not inspect.isclass(kind):
            return [
                f"{key}: {kind.__name__} requires {name!r}. Add {key}.{name}=VALUE." for name in missing_names
            ]
    if issubclass(kind, IterableDataset):
        return [
            f"{key}: {kind.__name__} is an IterableDataset, whose items have no index; expected a map-style "
            "dataset with __len__ and __getitem__."
        ]
    missing = [name for name in ("__len__", "__getitem__") if not is_defined(kind, name)]
    return [f"{key}: {kind.__name__} does not define {' and '.join(missing)}."] if missing else []


def missing_arguments(constructor: functools.partial[MapDataset]) -> list[str]:
    """Returns the required parameters without a value."""
    try:
        parameters = inspect.signature(constructor).parameters
    except (TypeError, ValueError):  # no signature is available
        return []
    return [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def is_defined(kind: type, method: str) -> bool:
    """Returns whether a class defines a method itself; ``torch.utils.data.Dataset`` has a stub."""
    owner = next((base for base in kind.__mro__ if method in vars(base)), None)
    return owner is not None and owner is not Dataset


def built(key: str, given: Any) -> MapDataset:
    """Builds a dataset.

    Raises:
        DataError: its constructor raised an error, or it is not a map-style dataset.
    """
    dataset = given
    if isinstance(given, functools.partial):
        try:
            dataset = given()
        except Exception as error:  # the user's code may raise anything
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f" ({frame.filename}, line {frame.lineno})"
            raise DataError(
                f"{key}: {given.func.__name__} cannot be built: {type(error).__name__}: {error}{place}"
            ) from error
    problems = dataset_problems(key, dataset)
    if problems:
        raise DataError(problems[0])
    return dataset


def name_of(dataset: MapDataset) -> str:
    return type(dataset).__name__


def source_of(dataset: MapDataset) -> str:
    """Returns the file of the dataset's class, or the class if it is built in."""
    kind = type(dataset)
    try:
        return str(Path(inspect.getfile(kind)).absolute())
    except (TypeError, OSError):
        return f"{kind.__module__}.{kind.__qualname__}"
