import io
from collections import OrderedDict, namedtuple

import torch
from torch import nn

from runner.callbacks.checkpoint_io import snapshot

Pair = namedtuple("Pair", "left right")


def saved(value) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def training_state() -> dict:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    model[2].weight = model[0].weight  # tied: one storage in the file
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(8, 4)).sum().backward()
    optimizer.step()
    shared = ["one", {"two": 2}]
    return {
        "state_dict": model.state_dict(),
        "optimizer_states": [optimizer.state_dict()],
        "shared": [shared, shared],
        "view": torch.arange(12).reshape(3, 4).t()[1:],
        "numbers": (1, 2.5, None, True),
        "empty": torch.empty(0),
    }


def test_saving_the_copy_writes_the_same_bytes() -> None:
    state = training_state()
    assert saved(snapshot(state)) == saved(state)


def test_later_changes_do_not_affect_the_snapshot() -> None:
    state = training_state()
    before, copied = saved(state), snapshot(state)
    state["state_dict"]["0.weight"].zero_()
    state["optimizer_states"][0]["state"][0]["exp_avg"].fill_(7)
    state["shared"][0].append("three")
    assert saved(copied) == before != saved(state)


def test_tied_weights_and_types_are_kept() -> None:
    copied = snapshot(training_state())
    weights = copied["state_dict"]
    assert weights["0.weight"].data_ptr() == weights["2.weight"].data_ptr()
    assert type(weights) is OrderedDict and weights._metadata
    assert snapshot(Pair(torch.ones(2), [1])).right == [1]
