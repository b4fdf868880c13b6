"""The base data module: cutting, loaders, normalisation on the device."""

from __future__ import annotations

import pytest
import torch

from runner.data.base import DataModule, split_indices
from runner.data.facts import Facts
from runner.data.split import ArraySource, Split
from runner.data.standardize import Standardize
from runner.errors import DataError


class NumbersDataModule(DataModule):
    """Twenty samples, of which fourteen train and six validate; nothing to test on."""

    def setup(self, stage: str | None = None) -> None:
        source = ArraySource(torch.arange(40.0).view(20, 2), torch.arange(20), label="number")
        self.splits = {"train": Split(source, range(14)), "val": Split(source, range(14, 20))}
        self.normalize = Standardize([1.0, 2.0], [2.0, 2.0])
        self.facts = Facts("classification", (2,), 20)


@pytest.fixture
def data() -> NumbersDataModule:
    data = NumbersDataModule(batch_size=4, eval_batch_size=3, seed=9)
    data.setup()
    return data


def test_parts_are_disjoint_sorted_and_whole():
    train, val, test = split_indices(101, 0.2, 0.1, seed=3)
    assert (len(train), len(val), len(test)) == (71, 20, 10)
    assert torch.cat([train, val, test]).sort().values.tolist() == list(range(101))
    assert all(torch.equal(part, part.sort().values) for part in (train, val, test))


def test_split_depends_on_its_seed_only():
    first = split_indices(50, 0.2, 0.2, seed=3)
    torch.rand(5)
    assert all(map(torch.equal, first, split_indices(50, 0.2, 0.2, seed=3)))
    assert not torch.equal(first[1], split_indices(50, 0.2, 0.2, seed=4)[1])
    before = torch.get_rng_state()
    split_indices(50, 0.2)
    assert torch.equal(torch.get_rng_state(), before)


def test_each_class_is_cut_in_the_same_proportion():
    labels = torch.tensor([0] * 80 + [1] * 20)[
        torch.randperm(100, generator=torch.Generator().manual_seed(1))
    ]
    for part, counts in zip(
        split_indices(100, 0.2, 0.1, labels=labels), ([56, 14], [16, 4], [8, 2]), strict=True
    ):
        assert labels[part].bincount().tolist() == counts


def test_nothing_is_cut_by_default_to_test():
    assert len(split_indices(10, 0.2)[2]) == 0


def test_loaders_shuffle_only_the_training_split(data: NumbersDataModule):
    trained = torch.cat([batch["index"] for batch in data.train_dataloader()])
    validated = torch.cat([batch["index"] for batch in data.val_dataloader()])
    assert sorted(trained.tolist()) == list(range(14)) != trained.tolist()
    assert validated.tolist() == list(range(14, 20))
    assert [len(batch["index"]) for batch in data.train_dataloader()] == [4, 4, 4, 2]
    assert [len(batch["index"]) for batch in data.val_dataloader()] == [3, 3]


def test_order_changes_with_the_epoch_and_the_seed(data: NumbersDataModule):
    loader, again = data.train_dataloader(), data.train_dataloader()
    first = torch.cat([batch["index"] for batch in loader])
    assert torch.equal(first, torch.cat([batch["index"] for batch in again]))
    loader.batch_sampler.set_epoch(1)
    assert not torch.equal(first, torch.cat([batch["index"] for batch in loader]))


def test_absent_split_has_no_loader(data: NumbersDataModule):
    assert data.test_dataloader() == []


def test_training_split_is_evaluated_as_validation_is(data: NumbersDataModule):
    def noisy(inputs, target):
        return inputs + torch.rand(2), target

    train = data.splits["train"]
    train.transform = noisy
    (first, *_) = data.eval_loader("train")
    assert torch.equal(first["inputs"], train.source.inputs[:3])
    assert first["index"].tolist() == [0, 1, 2]
    assert train.transform is noisy
    assert all((batch["inputs"] % 1 > 0).any() for batch in data.train_dataloader())


def test_eval_batches_are_as_large_as_training_batches_unless_said():
    assert NumbersDataModule(batch_size=7).eval_batch_size == 7


def test_inputs_are_normalised_after_the_transfer(data: NumbersDataModule):
    batch = next(iter(data.val_dataloader()))
    raw = batch["inputs"].clone()
    moved = data.on_after_batch_transfer(batch, 0)
    assert torch.equal(moved["inputs"], (raw - torch.tensor([1.0, 2.0])) / 2)


def test_inputs_of_different_sizes_are_unchanged(data: NumbersDataModule):
    images = [torch.zeros(3, 4, 4), torch.zeros(3, 5, 4)]
    assert data.on_after_batch_transfer({"inputs": images}, 0)["inputs"] is images


def test_samples_are_named(data: NumbersDataModule):
    assert data.sample_name("val", 15) == "number 15"


def test_data_modules_without_new_inputs_say_so(data: NumbersDataModule):
    with pytest.raises(DataError, match="NumbersDataModule cannot read new inputs"):
        data.read_inputs(["cat.jpg"])


def test_constructor_reads_nothing():
    data = NumbersDataModule()
    assert data.splits == {} and data.facts is None and data.check() == []


def test_facts_are_found_by_name():
    facts = Facts("classification", (3, 8, 9), 2, ["a", "b"], extra={"target_mean": [1.0]})
    assert facts.get("in_features") == 216
    assert facts.get("in_channels") == 3
    assert facts.get("image_size") == 9
    assert facts.get("input_shape") == [3, 8, 9]
    assert facts.get("target_mean") == [1.0]
    assert set(facts.names()) >= {"num_classes", "target_mean", "task"}
    for name in ("num_clases", "get", "_extra"):
        with pytest.raises(KeyError):
            facts.get(name)
