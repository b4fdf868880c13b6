"""Batches of sequences of different lengths."""

from __future__ import annotations

import numpy as np
import torch

from runner.data.split import make_loader
from runner.data.text.source import BucketSampler, SequenceSplit, TokenSource


def make_split(num: int = 203) -> SequenceSplit:
    draw = np.random.default_rng(0)
    sequences = [list(draw.integers(1, 9, draw.integers(1, 40))) for _ in range(num)]
    return SequenceSplit(TokenSource(sequences, torch.arange(num) % 3), range(num), seed=5)


def test_every_sample_once_and_batches_of_like_length():
    split = make_split()
    batches = list(make_loader(split, 8, shuffle=True, seed=1))
    assert sorted(torch.cat([batch["index"] for batch in batches]).tolist()) == list(range(203))
    spread = [np.ptp(split.lengths[batch["index"].numpy()]) for batch in batches[:-1]]
    assert np.mean(spread) < 4  # 20 or more when drawn at random
    for batch in batches:
        assert ((batch["inputs"] != 0).sum(1).numpy() == split.lengths[batch["index"].numpy()]).all()


def test_order_depends_on_seed_and_epoch_alone():
    split = make_split()
    one, other = (BucketSampler(split.lengths, 203, 8, seed=1, shuffle=True) for _ in range(2))
    assert one.order(3) == other.order(3) != one.order(4)
    whole = [list(batch) for batch in one]
    other.start_batch = 7
    assert [list(batch) for batch in other] == whole[7:]


def test_ranks_share_the_same_batches():
    split = make_split(205)
    whole = [list(b) for b in split.batch_sampler(8, seed=1, shuffle=True)]
    ranks = [split.batch_sampler(8, seed=1, shuffle=True, rank=rank, world_size=2) for rank in range(2)]
    assert [a + b for a, b in zip(*map(list, ranks), strict=True)] == whole


def test_split_that_is_not_shuffled_keeps_its_order():
    split = make_split()
    assert torch.cat([b["index"] for b in make_loader(split, 8)]).tolist() == list(range(203))


def test_targets_of_steps_are_padded_to_be_ignored():
    source = TokenSource([[5, 6, 7], [8]], [[0, 1, 2], [1]])
    batch = SequenceSplit(source, [0, 1]).__getitems__([(0, 0), (0, 1)])
    assert batch["inputs"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["targets"].tolist() == [[0, 1, 2], [1, -100, -100]]
