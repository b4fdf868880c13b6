"""Greedy and beam search against all sequences there are."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
import torch

from runner.tasks.decoding import BEGIN, END, beam_search, greedy_search

VOCAB = 7  # four special tokens, three others


class Seen(NamedTuple):
    number: torch.Tensor


class Table:
    """A model whose next token depends on the last one and on the source alone: a table of
    log-probabilities."""

    def __init__(self, seed: int):
        table = torch.randn(2, VOCAB, VOCAB, generator=torch.Generator().manual_seed(seed)) * 2
        table[:, :, [0, 1, 2]] = -torch.inf
        self.table = table.log_softmax(-1)

    def encode(self, source):
        return Seen(source[:, 0]), torch.zeros(1, len(source), 1)

    def decode(self, tokens, memory, state):
        return self.table[memory.number, tokens[:, -1]][:, None].clone(), state + 1, None

    def score(self, number: int, tokens: list[int], most: int) -> float:
        told = [*tokens, END][:most]
        steps = zip([BEGIN, *tokens], told, strict=False)
        return float(sum(self.table[number, a, b] for a, b in steps))


def test_greedy_chooses_the_most_probable_token():
    model = Table(0)
    for number, found in enumerate(greedy_search(model, torch.tensor([[0], [1]]), 6)):
        last = BEGIN
        for token in found:
            assert token == int(model.table[number, last].argmax())
            last = token


@pytest.mark.parametrize("seed", range(5))
def test_wide_beam_finds_the_most_probable_sequence(seed):
    """Without division by the length; of four tokens and the end at most, or five that have not ended."""
    model, most = Table(seed), 5
    every = [list(t) for n in range(most + 1) for t in itertools.product((4, 5, 6), repeat=n)]
    for number, found in enumerate(beam_search(model, torch.tensor([[0], [1]]), most, size=500, alpha=0.0)):
        assert found == max(every, key=lambda tokens: model.score(number, tokens, most))


@pytest.mark.parametrize("seed", range(5))
def test_beam_of_one_is_greedy_and_independent_of_the_batch(seed):
    model = Table(seed)
    source = torch.tensor([[0], [1], [0]])
    assert beam_search(model, source, 6, size=1) == greedy_search(model, source, 6)
    together = beam_search(model, source, 6, size=3)
    assert together == [beam_search(model, row[None], 6, size=3)[0] for row in source]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("search", [greedy_search, beam_search])
def test_each_sequence_has_its_own_length_limit(search, seed):
    """Where the end is unlikely, its neighbours would let a sequence grow."""
    model, source = Table(seed), torch.tensor([[0], [1], [0]])
    model.table[:, :, END] -= 3.0
    limits = torch.tensor([3, 9, 5])
    together = search(model, source, limits)
    assert together == [
        search(model, row[None], int(limit))[0] for row, limit in zip(source, limits, strict=True)
    ]
    assert all(len(found) <= limit for found, limit in zip(together, limits, strict=True))
