"""Pairs of neighbouring words."""

from __future__ import annotations

import numpy as np
import pytest

from runner.data.text.word_pairs import NeighbourSplit, WordPairsDataModule, count_tokens, uniform
from runner.errors import DataError


def make_split(tmp_path, tokens, num_kinds=12, **options):
    file = tmp_path / "t.uint16"
    np.array(tokens, dtype=np.uint16).tofile(file)
    counts = count_tokens(np.array(tokens), num_kinds, piece=7)
    defaults = {"window": 3, "num_negatives": 4, "frequent": 1e-2, "seed": 0, "fixed": False}
    return NeighbourSplit(file, counts, **defaults | options)


def test_draws_depend_on_seed_epoch_and_position_only():
    whole = uniform(1, 2, np.arange(1000), 5)
    assert np.array_equal(whole[100:110], uniform(1, 2, np.arange(100, 110), 5))
    assert not np.isclose(whole, uniform(1, 3, np.arange(1000), 5)).any()
    assert 0 <= whole.min() and whole.max() < 1 and abs(whole.mean() - 0.5) < 0.02
    assert abs(np.corrcoef(whole[:-1, 0], whole[1:, 0])[0, 1]) < 0.1


def test_neighbour_stands_within_the_window(tmp_path):
    tokens = np.random.default_rng(0).integers(4, 12, 300)
    split = make_split(tmp_path, tokens)
    seen = set()
    for epoch in range(30):
        batch = split.__getitems__([(epoch, position) for position in range(300)])
        for position in (0, 150, 299):
            near = int(batch["targets"][position, 0])
            around = [*tokens[max(0, position - 3) : position], *tokens[position + 1 : position + 4]]
            assert near in around
            seen.add((position, near))
        assert (batch["inputs"].numpy() == tokens).all()
    assert len([1 for position, _ in seen if position == 150]) == len({*tokens[147:150], *tokens[151:154]})


def test_false_neighbours_follow_the_frequencies(tmp_path):
    tokens = np.repeat([4, 5, 6], [810, 160, 30])
    split = make_split(tmp_path, tokens, num_kinds=8)
    drawn = np.concatenate(
        [split.__getitems__([(e, p) for p in range(1000)])["targets"][:, 1:].numpy() for e in range(5)]
    )
    expected = np.array([810, 160, 30]) ** 0.75
    found = np.bincount(drawn.ravel(), minlength=8)[4:7] / drawn.size
    assert np.allclose(found, expected / expected.sum(), atol=0.02)
    assert np.bincount(drawn.ravel(), minlength=8)[[0, 1, 2, 3, 7]].sum() == 0


def test_weights_are_the_share_that_the_original_keeps(tmp_path):
    tokens = np.tile([4] * 9 + [5], 100)
    split = make_split(tmp_path, tokens, num_kinds=6, frequent=0.1)
    assert (
        split.keep[4] == pytest.approx(np.sqrt(0.1 / 0.9)) and split.keep[5] == 1.0 and split.keep[1] == 0.0
    )
    batch = split.__getitems__([(0, position) for position in range(1000)])
    keep = split.keep[batch["inputs"].numpy()] * split.keep[batch["targets"][:, 0].numpy()]
    assert np.allclose(batch["pair_weight"].numpy(), keep / split.mean_weight)
    assert float(batch["pair_weight"].mean()) == pytest.approx(1.0, abs=0.1)


def test_validation_draws_the_same_in_every_epoch(tmp_path):
    split = make_split(tmp_path, range(4, 12), fixed=True)
    one, other = (split.__getitems__([(epoch, p) for p in range(8)])["targets"] for epoch in (0, 5))
    assert (one == other).all()


def test_words_without_a_vector_are_rejected(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(["the king loves the queen and the queen the king"] * 60))
    data = WordPairsDataModule(str(path), min_count=3, data_dir=str(tmp_path))
    assert data.check() == []
    data.setup("fit")
    assert set(data.words()) == {"the", "king", "queen", "loves", "and"}
    ((word, number),) = data.read_inputs(["Queen"])
    assert word == "Queen" and data.tokenizer.token(int(number)) == "queen"
    with pytest.raises(DataError, match="'kings' has no vector of its own. Did you mean 'king'"):
        list(data.read_inputs(["kings"]))
    assert data.present({"nearest": [int(number)]}) == {"nearest": "queen"}


def test_missing_text_is_reported_before_any_work():
    assert "no such file" in WordPairsDataModule("nowhere.txt").check()[0]
