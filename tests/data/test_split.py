"""A split: batches gathered or put together, augmentation that depends on seed, epoch and index alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from runner.data.split import ArraySource, Split, collate, make_loader
from runner.errors import BrokenSampleError, DataError, RunFailedError


class ListSource:
    """Samples one by one, one of which may be broken."""

    def __init__(self, num_samples: int, broken: int | None = None, error: Exception | None = None):
        self.num_samples = num_samples
        self.broken = broken
        self.error = error or OSError("truncated")

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index == self.broken:
            raise self.error
        return torch.full((2,), float(index)), index % 3

    def name(self, index: int) -> str:
        return f"folder/{index}.jpg"


def jitter(inputs: Tensor, target: int) -> tuple[Tensor, int]:
    return inputs + torch.rand(inputs.shape), target


def epoch_of(split: Split, epoch: int, **options) -> list[dict[str, Tensor]]:
    loader = make_loader(split, 4, shuffle=True, seed=5, **options)
    loader.batch_sampler.set_epoch(epoch)
    batches = iter(loader)
    try:
        return list(batches)
    finally:
        if options.get("num_workers"):
            batches._shutdown_workers()  # the garbage collector would wait 5 s for each worker


def test_batches_are_gathered_from_arrays():
    inputs, targets = torch.arange(20.0).view(10, 2), torch.arange(10)
    batch = Split(ArraySource(inputs, targets), [9, 1, 4])[(0, 1)]
    assert torch.equal(batch[0], inputs[1])
    batch = Split(ArraySource(inputs, targets), [9, 1, 4]).__getitems__([(0, 0), (0, 2)])
    assert torch.equal(batch["inputs"], inputs[[9, 4]])
    assert batch["targets"].tolist() == batch["index"].tolist() == [9, 4]


def test_gathering_and_collating_give_the_same():
    source = ArraySource(torch.rand(10, 3), torch.arange(10))
    gathered = Split(source, range(10)).__getitems__([(0, 3), (0, 7)])
    collated = Split(source, range(10), transform=lambda *sample: sample).__getitems__([(0, 3), (0, 7)])
    assert all(torch.equal(gathered[key], collated[key]) for key in ("inputs", "targets", "index"))


def test_gathered_batch_is_a_copy():
    source = ArraySource(torch.zeros(4, 2), torch.zeros(4))
    Split(source, range(4)).__getitems__([(0, 0)])["inputs"] += 1
    assert source.inputs.sum() == 0


def test_arrays_of_unequal_length_are_rejected():
    with pytest.raises(ValueError, match="3 inputs but 2 targets"):
        ArraySource(torch.zeros(3), torch.zeros(2))


@pytest.mark.parametrize("transform", [None, jitter])
def test_loader_workers_change_nothing(transform):
    split = Split(ListSource(23), range(23), transform, seed=1)
    alone = epoch_of(split, epoch=3)
    for batch, other in zip(alone, epoch_of(split, epoch=3, num_workers=2), strict=True):
        assert all(torch.equal(batch[key], other[key]) for key in batch)


def test_workers_kept_alive_follow_the_epoch():
    split = Split(ListSource(23), range(23), jitter, seed=1)
    loader = make_loader(split, 4, shuffle=True, seed=5, num_workers=2)
    for epoch in (0, 1, 4):
        loader.batch_sampler.set_epoch(epoch)
        for batch, other in zip(epoch_of(split, epoch), loader, strict=True):
            assert torch.equal(batch["inputs"], other["inputs"])


def test_augmentation_depends_on_seed_epoch_and_index():
    split = Split(ListSource(10), range(10), jitter, seed=1)
    changed = Split(ListSource(10), [7, 3], jitter, seed=1)
    sample = split.sample(2, 3)[0]
    torch.rand(3)
    assert torch.equal(split.sample(2, 3)[0], sample)
    assert torch.equal(changed.sample(2, 1)[0], sample)  # the same sample at another position
    assert not torch.equal(split.sample(3, 3)[0], sample)
    assert not torch.equal(split.sample(2, 4)[0] - 1, sample)
    assert not torch.equal(Split(ListSource(10), range(10), jitter, seed=2).sample(2, 3)[0], sample)


def test_augmentation_does_not_use_the_global_generator():
    before = torch.get_rng_state()
    Split(ListSource(10), range(10), jitter).sample(0, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_iterating_does_not_use_the_global_generator():
    before = torch.get_rng_state()
    for workers in (0, 2):
        epoch_of(Split(ListSource(10), range(10), jitter), 0, num_workers=workers)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_sample_is_named(workers: int):
    split = Split(ListSource(10, broken=6), range(10), seed=1)
    with pytest.raises(BrokenSampleError, match=r"folder/6\.jpg cannot be read: OSError: truncated"):
        epoch_of(split, 0, num_workers=workers)
    assert issubclass(BrokenSampleError, RunFailedError)


def test_sample_that_cannot_be_transformed_is_named():
    def fails(inputs: Tensor, target: int):
        raise ValueError("no such size")

    with pytest.raises(BrokenSampleError, match=r"folder/2\.jpg .*ValueError: no such size"):
        Split(ListSource(10), [5, 2], fails).sample(0, 1)


def test_runner_errors_are_passed_on():
    split = Split(ListSource(10, broken=2, error=DataError("row 3 lacks a target")), range(10))
    with pytest.raises(DataError, match="^row 3 lacks a target$"):
        split.sample(0, 2)


def test_samples_have_names():
    assert Split(ListSource(10), [4]).name(4) == "folder/4.jpg"
    assert Split(ArraySource(torch.zeros(3), torch.zeros(3), label="digit"), [1]).name(2) == "digit 2"


def test_collate_stacks_numbers_and_tensors():
    batch = collate([(torch.zeros(2), 1), (torch.ones(2), 2)])
    assert batch["inputs"].shape == (2, 2)
    assert batch["targets"].tolist() == [1, 2]
