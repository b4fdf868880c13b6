"""Plain datasets as data: facts, splits, repeatable randomness, and messages about unsuitable items."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from runner.data.dataset import DatasetDataModule
from runner.data.dataset_items import ItemReader
from runner.data.folds import Folds
from runner.errors import BrokenSampleError, DataError


class Items(Dataset):
    """Items from a list, or from a function of the index."""

    def __init__(self, items: Sequence[Any] | Callable[[int], Any], size: int = 20) -> None:
        self.items, self.size = items, size

    def __len__(self) -> int:
        return self.size if callable(self.items) else len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items(index) if callable(self.items) else self.items[index]


def ready(items: Any, **options: Any) -> DatasetDataModule:
    data = DatasetDataModule(train=Items(items), **options)
    data.setup("fit")
    return data


def features(index: int) -> torch.Tensor:
    return torch.full((3,), float(index))


def test_facts_of_class_ids() -> None:
    data = ready(lambda i: (features(i), i % 4))
    facts = data.facts
    assert facts.task == "classification" and facts.input_shape == (3,) and facts.num_outputs == 4
    assert facts.class_names == ["0", "1", "2", "3"] and facts.name == "Items"
    assert (facts.num_train, facts.num_val, facts.num_test) == (12, 4, 4)
    assert sum(facts.class_counts) == 12 and min(facts.class_counts) == 3


def test_facts_of_numbers_are_those_of_the_training_samples() -> None:
    data = ready(lambda i: (features(i), [float(i), 10.0]), target_names=["count", "ten"])
    facts, train = data.facts, data.splits["train"]
    values = train.indices.double()
    assert facts.task == "regression" and facts.num_outputs == 2 and facts.class_names == []
    assert facts.get("target_names") == ["count", "ten"]
    assert facts.get("target_mean") == pytest.approx([float(values.mean()), 10.0])
    assert facts.get("target_std") == pytest.approx([float(values.std(correction=0)), 0.0])
    batch = train.__getitems__([(0, 0), (0, 1)])
    assert batch["targets"].shape == (2, 2) and batch["targets"].dtype == torch.float32


def test_numbers_far_from_zero_stay_float64() -> None:
    data = ready(lambda i: (features(i), 1.7e9 + i))
    assert data.splits["train"].source.targets.dtype == torch.float64
    assert data.splits["train"][0][1].dtype == torch.float64


@pytest.mark.parametrize(
    ("target", "class_names"),
    [
        (lambda i: "dog" if i % 2 else "cat", ["cat", "dog"]),
        (lambda i: np.int64(i % 2), ["0", "1"]),
        (lambda i: torch.tensor(i % 2), ["0", "1"]),
        (lambda i: bool(i % 2), ["0", "1"]),
    ],
)
def test_classes_may_be_names_or_whole_numbers(target: Callable[[int], Any], class_names: list[str]) -> None:
    data = ready(lambda i: (features(i), target(i)))
    assert data.facts.class_names == class_names
    assert {int(data.splits["train"][i][1]) for i in range(12)} == {0, 1}


def test_whole_numbers_are_quantities_for_a_regression() -> None:
    data = ready(lambda i: (features(i), i), task="runner.tasks.regression.RegressionTask")
    assert data.facts.task == "regression" and data.facts.num_outputs == 1


@pytest.mark.parametrize("keys", [("x", "y"), ("inputs", "targets"), ("image", "label")])
def test_items_may_be_dicts(keys: tuple[str, str]) -> None:
    data = ready(lambda i: {keys[0]: features(i), keys[1]: i % 2, "path": "a.png"})
    assert data.facts.num_outputs == 2
    assert torch.equal(data.splits["train"][0][0], features(int(data.splits["train"].indices[0])))


def test_other_keys_are_named() -> None:
    with pytest.raises(DataError, match=r"item 0 has the keys signal, gain, .*data\.input_key"):
        ready(lambda i: {"signal": features(i), "gain": 1.0})
    data = ready(lambda i: {"signal": features(i), "gain": 1.5}, input_key="signal", target_key="gain")
    assert data.facts.task == "regression"


def test_bytes_and_images_become_numbers_from_0_to_1() -> None:
    image = Image.fromarray(np.full((4, 6, 3), 255, dtype=np.uint8))
    value, target = ItemReader("Photos")((image, 1), 0)
    assert (
        value.shape == (3, 4, 6) and value.dtype == torch.float32 and bool((value == 1).all()) and target == 1
    )
    grey, _ = ItemReader("Photos")((Image.new("L", (6, 4), 51), 1), 0)
    assert grey.shape == (1, 4, 6) and grey.unique().tolist() == pytest.approx([0.2])


def test_splits_may_be_datasets_of_their_own() -> None:
    train, val = Items(lambda i: (features(i), i % 2)), Items(lambda i: (features(-i), i % 2), size=6)
    data = DatasetDataModule(train=train, val=functools.partial(lambda dataset: dataset, val))
    data.setup("fit")
    assert (data.facts.num_train, data.facts.num_val, data.facts.num_test) == (20, 6, 0)
    assert float(data.splits["val"][5][0][0]) == -5.0


def test_folds_are_cut_from_the_training_dataset() -> None:
    data = DatasetDataModule(train=Items(lambda i: (features(i), i % 2)), test_fraction=0.0)
    data.take_folds(Folds(num_folds=4, index=1))
    data.setup("fit")
    assert (data.facts.num_train, data.facts.num_val) == (15, 5)
    assert not set(data.splits["train"].indices.tolist()) & set(data.splits["val"].indices.tolist())


def test_dataset_is_built_once_and_not_by_the_check() -> None:
    builds = []

    def build(size: int) -> TensorDataset:
        builds.append(size)
        return TensorDataset(torch.randn(size, 2), torch.arange(size) % 2)

    data = DatasetDataModule(train=functools.partial(build, size=10))
    assert data.check() == [] and builds == []
    data.prepare_data()
    data.setup("fit")
    assert builds == [10] and data.facts.input_shape == (2,)


def noisy(index: int) -> tuple[torch.Tensor, int]:
    return torch.tensor([random.random(), np.random.rand(), float(torch.rand(()))]), index % 2


def test_random_items_depend_on_seed_epoch_and_item_only() -> None:
    first, second = ready(noisy), ready(noisy)
    for position in (3, 1, 2):
        assert torch.equal(
            first.splits["train"].sample(1, position)[0], second.splits["train"].sample(1, position)[0]
        )
    train, val = first.splits["train"], first.splits["val"]
    assert not torch.equal(train.sample(0, 0)[0], train.sample(1, 0)[0])
    assert not torch.equal(train.sample(0, 0)[0], train.sample(0, 1)[0])
    assert torch.equal(val.sample(0, 0)[0], val.sample(1, 0)[0])
    assert first.facts.digest == second.facts.digest
    other = ready(noisy, seed=1).splits["train"]
    assert not torch.equal(train.sample(0, 0)[0], other.sample(0, 0)[0])


def test_reading_does_not_change_the_state_of_the_generators() -> None:
    data = ready(noisy)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    data.splits["train"].sample(0, 0)
    assert random.getstate() == states[0] and np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_digest_follows_the_content() -> None:
    digests = [
        ready(lambda i: (features(i), i % 2)).facts.digest,
        ready(lambda i: (features(i + 1), i % 2)).facts.digest,
        ready(lambda i: (features(i), (i + 1) % 2)).facts.digest,
    ]
    assert len(set(digests)) == 3
    assert ready(lambda i: (features(i), i % 2)).facts.digest == digests[0]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (
            lambda i: (torch.zeros(4 + (i == 7)), 0),
            r"item 7 has an input of shape \(5,\), item 0 one of shape \(4,\)",
        ),
        (
            lambda i: (features(i), [1.0] * (1 + (i == 3))),
            "target of item 3 is 2 numbers, that of item 0 is 1 numbers",
        ),
        (
            lambda i: (features(i), 1 if i else "a"),
            "target of item 1 is the int 1, that of item 0 is the str 'a'",
        ),
        (lambda i: features(i), "item 0 is a Tensor; expected a pair"),
        (lambda i: (1, 2, 3), "item 0 is a tuple of 3; expected a pair"),
        (lambda i: (features(i), -1), "the target -1 is negative"),
        (lambda i: (features(i), 1000 + i), "whole numbers up to 1019 in 20 items"),
        (lambda i: (features(i), float("nan")), "item 0: the target .* is not finite"),
        (lambda i: (features(i), torch.zeros(4, 4)), r"item 0: the target has the shape \(4, 4\)"),
        (lambda i: ("words", 0), "item 0: the input is a str"),
        (lambda i: (features(i), {}), "item 0: the target is a dict"),
        (lambda i: {}[i], "item 0 cannot be read: KeyError: 0"),
        ([], "Items has no items"),
    ],
)
def test_unsuitable_items_are_named(items: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ready(items)


def test_class_names_must_cover_the_targets() -> None:
    with pytest.raises(DataError, match="the target 3 is beyond the 2 class names"):
        ready(lambda i: (features(i), i % 4), class_names=["a", "b"])
    with pytest.raises(DataError, match="'c' is not among the class names"):
        ready(lambda i: (features(i), "abc"[i % 3]), class_names=["a", "b"])
    assert ready(lambda i: (features(i), i % 2), class_names=["a", "b", "c"]).facts.class_counts[2] == 0


def test_numbers_are_no_classes() -> None:
    with pytest.raises(DataError, match="floating-point numbers, but the task is classification"):
        ready(lambda i: (features(i), 0.5), task="runner.tasks.classification.ClassificationTask")
    with pytest.raises(DataError, match="the targets are strings"):
        ready(lambda i: (features(i), "a"), task="runner.tasks.regression.RegressionTask")


def test_item_that_breaks_later_is_named() -> None:
    items = Items(lambda i: (features(i), i % 2))
    data = DatasetDataModule(train=items)
    data.setup("fit")
    items.items = []
    with pytest.raises(BrokenSampleError, match=r"Items item \d+ cannot be read: IndexError"):
        data.splits["train"].sample(0, 0)


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter(())


class WithoutLength(Dataset):
    def __getitem__(self, index: int) -> Any:
        return index


class Photos(Dataset):
    def __init__(self, root: str, size: int = 8) -> None:
        raise FileNotFoundError(f"no folder {root}")

    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: int) -> Any:
        return index


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "data.train is not set"),
        ({"train": functools.partial(Stream)}, "data.train: Stream is an IterableDataset"),
        ({"train": functools.partial(WithoutLength)}, "data.train: WithoutLength does not define __len__."),
        (
            {"train": functools.partial(Photos)},
            "data.train: Photos requires 'root'. Add data.train.root=VALUE.",
        ),
        ({"train": Items([]), "val_fraction": 0.5, "test_fraction": 0.5}, "leave no training samples"),
        (
            {"train": Items([]), "test": Items([]), "test_fraction": 0.5},
            "data.test_fraction would have no effect",
        ),
    ],
)
def test_problems_are_found_before_a_dataset_is_built(options: dict[str, Any], message: str) -> None:
    (problem,) = DatasetDataModule(**options).check()
    assert message in problem


def test_error_of_the_constructor_is_reported_with_its_line() -> None:
    data = DatasetDataModule(train=functools.partial(Photos, root="nowhere"))
    with pytest.raises(
        DataError, match=r"data\.train: Photos cannot be built: .*nowhere \(.*test_dataset\.py, line \d+"
    ):
        data.prepare_data()
