"""Recurrent networks: padding, pooling, carried state, options."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from runner.errors import UserError
from runner.models.head import find_head
from runner.models.recurrent.network import GRU, LSTM, RNN
from runner.tasks.shape_check import check_output_shape

CONF = Path(__file__).resolve().parents[3] / "conf" / "model"
KINDS = [RNN, GRU, LSTM]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_does_not_change_the_output(kind, pooling, bidirectional):
    torch.manual_seed(0)
    model = kind(
        3, vocab_size=9, hidden_size=5, num_layers=2, bidirectional=bidirectional, pooling=pooling
    ).eval()
    short, long = torch.tensor([[4, 5, 6]]), torch.randint(1, 9, (1, 7))
    both = torch.cat([torch.nn.functional.pad(short, (0, 4)), long])
    assert torch.allclose(model(both), torch.cat([model(short), model(long)]), atol=1e-6)


def test_numeric_steps_are_padded_with_nan():
    model = GRU(2, num_features=3, hidden_size=4, bidirectional=True).eval()
    short, long = torch.randn(1, 2, 3), torch.randn(1, 5, 3)
    padded = torch.cat([short, torch.full((1, 3, 3), torch.nan)], 1)
    assert torch.allclose(model(torch.cat([padded, long])), torch.cat([model(short), model(long)]), atol=1e-6)
    gap = long.clone()
    gap[0, 2, 1] = torch.nan  # a missing number is no padding: it shows
    assert model(gap).isnan().any()


@pytest.mark.parametrize("kind", KINDS)
def test_output_per_step(kind):
    model = kind(4, vocab_size=9, per_step=True, hidden_size=6, bidirectional=True)
    assert model(torch.randint(1, 9, (2, 5))).shape == (2, 5, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_carried_state_joins_two_windows(kind):
    model = kind(9, vocab_size=9, per_step=True, hidden_size=6, num_layers=2).eval()
    tokens = torch.randint(1, 9, (2, 8))
    first, state = model(tokens[:, :5], None, True)
    second, _ = model(tokens[:, 5:], state, True)
    assert torch.allclose(torch.cat([first, second], 1), model(tokens), atol=1e-6)


@pytest.mark.parametrize("features", [{"vocab_size": 9}, {"num_features": 9}])
def test_dropout_acts_with_one_layer_and_in_training_only(features):
    torch.manual_seed(0)
    model = LSTM(2, **features, hidden_size=32, dropout=0.5)
    inputs = torch.randint(1, 9, (3, 5)) if "vocab_size" in features else torch.randn(3, 5, 9)
    assert not torch.equal(model(inputs), model(inputs))
    model.eval()
    assert torch.equal(model(inputs), model(inputs))


def test_forget_gates_start_open_and_recurrent_weights_orthogonal():
    rnn = LSTM(2, num_features=3, hidden_size=4).layers.rnn
    assert (rnn.bias_ih_l0[4:8] == 1).all()
    for gate in rnn.weight_hh_l0.split(4):
        assert torch.allclose(gate @ gate.T, torch.eye(4), atol=1e-5)


def test_tied_weights_are_one_tensor():
    model = LSTM(9, vocab_size=9, per_step=True, hidden_size=6, tie_weights=True)
    assert model.head.weight is model.embedding.weight
    assert model(torch.randint(1, 9, (2, 3))).shape == (2, 3, 9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_features": 3, "embed_dim": 8}, "embed_dim=8 would have no effect"),
        ({"vocab_size": 9, "per_step": True, "pooling": "max"}, "pooling=max would have no effect"),
        ({"vocab_size": 9, "tie_weights": True}, "for language models only"),
        ({"vocab_size": 9, "per_step": True, "tie_weights": True, "embed_dim": 3}, "embed_dim = hidden_size"),
        ({"vocab_size": 9, "per_step": True, "tie_weights": True, "bidirectional": True}, "one direction"),
    ],
)
def test_options_without_effect_are_rejected(options, words):
    with pytest.raises(UserError, match=words):
        GRU(9, **options)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_options_of_the_group_can_be_built(name):
    node = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    kind = {"LSTM": LSTM, "GRU": GRU, "RNN": RNN}[node["_target_"].rpartition(".")[2]]
    model = kind(4, num_features=8, hidden_size=node["hidden_size"])
    check_output_shape(model, (5, 8), 4)
    assert find_head(model) == ("head",)


def test_learns_to_recall_the_first_token():
    torch.manual_seed(0)
    inputs = torch.randint(1, 5, (16, 12))
    model, targets = LSTM(4, vocab_size=5, hidden_size=32), inputs[:, 0] - 1
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    assert (model(inputs).argmax(1) == targets).all()
