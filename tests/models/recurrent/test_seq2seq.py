"""Encoder and decoder: padding, steps one by one, attention."""

from __future__ import annotations

import pytest
import torch

from runner.models.recurrent.seq2seq import Seq2Seq


@pytest.fixture(params=["lstm", "gru", "rnn"])
def model(request) -> Seq2Seq:
    torch.manual_seed(0)
    return Seq2Seq(11, 9, units=request.param, embed_dim=6, hidden_size=8, num_layers=2).eval()


def test_source_padding_does_not_change_the_output(model):
    short, target = torch.tensor([[4, 5, 6]]), torch.tensor([[2, 4, 7]])
    padded = torch.nn.functional.pad(short, (0, 3))
    other = torch.randint(4, 9, (1, 6))
    both = model(torch.cat([padded, other]), target.repeat(2, 1))
    assert torch.allclose(both[:1], model(short, target), atol=1e-6)
    assert torch.allclose(both[1:], model(other, target), atol=1e-6)


def test_stepwise_decoding_matches_the_full_target(model):
    source, target = torch.randint(4, 9, (3, 5)), torch.randint(4, 11, (3, 4))
    memory, state = model.encode(source)
    found = []
    for place in range(4):
        logits, state, attention = model.decode(target[:, place : place + 1], memory, state)
        found.append(logits)
        assert torch.allclose(attention.sum(-1), torch.ones(3, 1)) and attention.shape == (3, 1, 5)
    assert torch.allclose(torch.cat(found, 1), model(source, target), atol=1e-6)


def test_attention_ignores_padding(model):
    source = torch.tensor([[4, 5, 0, 0]])
    _, _, attention = model.decode(torch.tensor([[2]]), *model.encode(source))
    assert attention[0, 0, 2:].tolist() == [0, 0]


def test_head_and_embedding_may_be_tied():
    tied, apart = (Seq2Seq(11, 9, embed_dim=6, hidden_size=8, tie_weights=tie) for tie in (True, False))
    assert tied.head.weight is tied.target_embedding.weight
    assert apart.head.weight is not apart.target_embedding.weight
