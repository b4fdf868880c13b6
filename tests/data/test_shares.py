"""Several ranks see what one would see: each sample once, in the same batches."""

from __future__ import annotations

import pickle

import pytest
import torch

from runner.data.base import DataModule
from runner.data.sampler import EpochBatchSampler, Share
from runner.data.split import ArraySource, Split, make_loader
from runner.errors import DataError


def batches(num_samples: int, batch_size: int, rank: int = 0, world_size: int = 1, **options) -> list[list]:
    return list(EpochBatchSampler(num_samples, batch_size, rank=rank, world_size=world_size, **options))


@pytest.mark.parametrize("world_size", [2, 3, 4])
@pytest.mark.parametrize("num_samples", [12, 24, 25, 31, 35])
def test_shares_of_a_batch_are_the_batch(num_samples: int, world_size: int) -> None:
    ranks = [batches(num_samples, 12, rank, world_size, shuffle=True) for rank in range(world_size)]
    assert len({len(rank) for rank in ranks}) == 1, "every rank has the same number of batches"
    whole = [[key for share in batch for key in share] for batch in zip(*ranks, strict=True)]
    assert [key for batch in whole for key in batch] == [
        key for batch in batches(num_samples, 12, shuffle=True) for key in batch
    ]
    assert all(len(batch) == 12 for batch in whole[:-1])
    for shares in zip(*ranks, strict=True):
        sizes = [len(share) for share in shares]
        assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1


def test_last_batch_too_small_for_all_joins_the_one_before() -> None:
    assert [len(batch) for batch in batches(27, 8, 0, 2)] == [4, 4, 5]  # 8, 8 and 8 + 3
    assert [len(batch) for batch in batches(28, 8, 0, 2)] == [4, 4, 4, 2]


@pytest.mark.parametrize("drop_last", [True, False])
def test_all_ranks_start_in_the_middle_of_an_epoch_at_the_same_place(drop_last: bool) -> None:
    ranks = []
    for rank in range(2):
        sampler = EpochBatchSampler(30, 8, shuffle=True, drop_last=drop_last, rank=rank, world_size=2)
        sampler.start_batch = 2
        ranks.append(list(sampler))
    alone = EpochBatchSampler(30, 8, shuffle=True, drop_last=drop_last)
    alone.start_batch = 2
    assert [first + second for first, second in zip(*ranks, strict=True)] == list(alone)


def test_weighted_mean_over_ranks_is_the_mean_of_the_batch() -> None:
    split = Split(ArraySource(torch.arange(21.0), torch.zeros(21)), range(21))
    for batch in zip(*(make_loader(split, 8, rank=rank, world_size=2) for rank in range(2)), strict=True):
        mean = sum(share["inputs"].mean() * share["weight"] for share in batch) / 2
        torch.testing.assert_close(mean, torch.cat([share["inputs"] for share in batch]).mean())


def test_share_keeps_its_weight_on_the_way_to_a_loader_worker() -> None:
    share = Share([(0, 1)])
    share.weight = 0.5
    assert pickle.loads(pickle.dumps(share)).weight == 0.5


def test_one_rank_needs_no_weight() -> None:
    split = Split(ArraySource(torch.arange(5.0), torch.zeros(5)), range(5))
    assert "weight" not in next(iter(make_loader(split, 2)))


def test_fewer_samples_than_ranks_are_rejected() -> None:
    data = DataModule()
    for name, count in {"train": 8, "val": 3, "test": 0}.items():
        data.splits[name] = Split(ArraySource(torch.arange(float(count)), torch.zeros(count)), range(count))
    data.set_rank(2, 3)
    with pytest.raises(DataError, match="val has 3 samples, which cannot be distributed over 4 devices"):
        data.set_rank(0, 4)
    assert (data.rank, data.world_size) == (2, 3)
