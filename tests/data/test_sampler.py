"""The order of an epoch is a function of seed and epoch, and can be resumed within an epoch."""

from __future__ import annotations

import pytest
import torch

from runner.data.sampler import EpochBatchSampler, seed_of
from runner.data.text.stream import StreamSampler


def positions(sampler: EpochBatchSampler, epoch: int = 0, start_batch: int = 0) -> list[list[int]]:
    sampler.set_epoch(epoch)
    sampler.start_batch = start_batch
    return [[position for _, position in batch] for batch in sampler]


def test_order_depends_on_seed_and_epoch_only():
    first = positions(EpochBatchSampler(50, 8, seed=3, shuffle=True), epoch=2)
    torch.rand(7)
    other = EpochBatchSampler(50, 8, seed=3, shuffle=True)
    positions(other, epoch=1)
    assert positions(other, epoch=2) == first
    assert positions(other, epoch=3) != first
    assert positions(EpochBatchSampler(50, 8, seed=4, shuffle=True), epoch=2) != first


def test_order_does_not_use_the_global_generator():
    before = torch.get_rng_state()
    positions(EpochBatchSampler(50, 8, seed=3, shuffle=True))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    ("num_samples", "batch_size"), [(50, 8), (48, 8), (49, 8), (5, 8), (1, 8), (7, 1), (0, 4)]
)
def test_every_sample_is_seen_once(num_samples: int, batch_size: int, shuffle: bool):
    sampler = EpochBatchSampler(num_samples, batch_size, shuffle=shuffle)
    batches = positions(sampler)
    assert len(batches) == len(sampler)
    assert sorted(position for batch in batches for position in batch) == list(range(num_samples))


def test_without_shuffling_the_order_is_the_splits():
    assert positions(EpochBatchSampler(5, 2), epoch=9) == [[0, 1], [2, 3, 4]]


def test_last_single_sample_joins_the_batch_before():
    assert [len(batch) for batch in positions(EpochBatchSampler(17, 8))] == [8, 9]
    assert [len(batch) for batch in positions(EpochBatchSampler(18, 8))] == [8, 8, 2]
    assert [len(batch) for batch in positions(EpochBatchSampler(1, 8))] == [1]  # there is none before
    assert [len(batch) for batch in positions(EpochBatchSampler(3, 1))] == [1, 1, 1]


def test_drop_last_drops_the_incomplete_batch():
    sampler = EpochBatchSampler(17, 8, drop_last=True)
    assert [len(batch) for batch in positions(sampler)] == [8, 8]
    assert len(sampler) == 2


def test_interrupted_epoch_continues_at_its_batch():
    sampler = EpochBatchSampler(17, 4, seed=1, shuffle=True)
    whole = positions(sampler, epoch=5)
    for start in range(len(whole) + 1):
        assert positions(sampler, epoch=5, start_batch=start) == whole[start:]
    assert [[p for _, p in batch] for batch in sampler] == whole  # start_batch counts once


def test_keys_carry_the_epoch():
    sampler = EpochBatchSampler(4, 2)
    sampler.set_epoch(7)
    assert {epoch for batch in sampler for epoch, _ in batch} == {7}


def test_seeds_are_the_same_in_every_process():
    assert seed_of(1, "order", 2) == 2250116526275059154
    assert seed_of(0, "loader") == 8527332300592893925


def test_seeds_differ_and_fit_a_generator():
    seeds = {seed_of(seed, epoch, index) for seed in range(3) for epoch in range(5) for index in range(50)}
    assert len(seeds) == 3 * 5 * 50
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(1, 23) != seed_of(12, 3)


def test_weights_balance_classes_equally_on_every_rank():
    weights = torch.tensor([1 / 90] * 90 + [1 / 10] * 10)
    sampler = EpochBatchSampler(100, 20, seed=1, shuffle=True, weights=weights)
    drawn = [position for epoch in range(30) for position in sampler.order(epoch)]
    assert 0.45 < sum(position >= 90 for position in drawn) / len(drawn) < 0.55
    assert sampler.order(3) == EpochBatchSampler(100, 20, seed=1, shuffle=True, weights=weights).order(3)
    assert sampler.order(3) != sampler.order(4)
    ranks = [EpochBatchSampler(100, 20, 1, True, rank=rank, world_size=2, weights=weights) for rank in (0, 1)]
    shares = [[key for batch in rank for key in batch] for rank in ranks]
    assert sorted(shares[0] + shares[1]) == sorted(key for batch in sampler for key in batch)


def test_some_samples_are_evenly_spread():
    sampler = EpochBatchSampler(100, 8)
    assert [len(batch) for batch in sampler.some(20)] == [8, 8, 4]
    assert [key for batch in sampler.some(20) for key in batch] == [(0, 5 * place) for place in range(20)]
    assert sampler.some(100) == sampler.some(10**9) == list(sampler)
    assert sampler.some(1) == [[(0, 0)]]


def test_some_windows_are_the_first_of_all_streams():
    sampler = StreamSampler(401, 10, 4)
    assert sampler.some(8) == list(sampler)[:2] == sampler.some(11)
    assert sampler.some(3) == [next(iter(sampler))[:3]]
    assert sampler.some(10**9) == list(sampler)
