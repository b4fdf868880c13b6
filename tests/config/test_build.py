from __future__ import annotations

import functools

import pytest
from torch import nn

from runner.config.build import build
from runner.errors import ConfigError, DataError


def test_nested_nodes_are_built_first(here) -> None:
    node = {
        "_target_": "torch.nn.Sequential",
        "_args_": [
            {"_target_": "torch.nn.Linear", "in_features": 3, "out_features": 2},
            {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "torch.nn.ReLU"}]},
        ],
    }
    model = build(node)
    assert [type(part) for part in model] == [nn.Linear, nn.Sequential]
    assert isinstance(model[1][0], nn.ReLU)
    assert node["_args_"][0]["_target_"] == "torch.nn.Linear"


def test_none_and_plain_values_are_unchanged() -> None:
    assert build(None) is None
    assert build({"a": [1, {"b": None}]}) == {"a": [1, {"b": None}]}


def test_containers_become_lists_and_dicts(write) -> None:
    write("mine.py", "class Keep:\n    def __init__(self, **values):\n        self.values = values\n")
    values = {"a": [1, 2], "b": {"c": (3,)}, "_convert_": "partial"}
    kept = build({"_target_": "mine.Keep", **values}).values
    assert kept == {"a": [1, 2], "b": {"c": (3,)}}
    assert type(kept["a"]) is list and type(kept["b"]) is dict


def test_partial_defers_construction() -> None:
    factory = build({"_target_": "torch.nn.Linear", "_partial_": True, "in_features": 3}, bias=False)
    assert isinstance(factory, functools.partial)
    layer = factory(out_features=2)
    assert layer.weight.shape == (2, 3) and layer.bias is None


def test_extra_arguments_go_to_the_outermost_node() -> None:
    layer = nn.ReLU()
    model = build({"_target_": "torchvision.ops.MLP", "in_channels": 3, "hidden_channels": [2]}, bias=False)
    assert model[0].bias is None
    assert build({"_target_": "torch.nn.ModuleList"}, modules=[layer])[0] is layer


def test_non_recursive_returns_the_node(write) -> None:
    write("mine.py", "class Keep:\n    def __init__(self, node):\n        self.node = node\n")
    inner = {"_target_": "torch.nn.ReLU"}
    assert build({"_target_": "mine.Keep", "_recursive_": False, "node": inner}).node == inner


def test_rejected_argument_is_a_user_error() -> None:
    with pytest.raises(ConfigError, match=r"torch\.nn\.MultiheadAttention rejected .*embed_dim.*") as refusal:
        build({"_target_": "torch.nn.MultiheadAttention", "embed_dim": -4, "num_heads": 2})
    assert "line" not in str(refusal.value)


def test_error_in_user_code_names_its_line(write) -> None:
    path = write("mine.py", "def net(size):\n    if size < 1:\n        raise ValueError('too small')\n")
    with pytest.raises(ConfigError, match="too small") as refusal:
        build({"_target_": "mine.net", "size": 0})
    assert f"({path}, line 3)" in str(refusal.value)


def test_runner_errors_are_not_wrapped(write) -> None:
    write("mine.py", "from runner.errors import DataError\ndef net():\n    raise DataError('no data')\n")
    with pytest.raises(DataError, match="no data"):
        build({"_target_": "mine.net"})
