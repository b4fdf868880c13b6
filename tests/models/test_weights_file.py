import os

import pytest
import safetensors.torch
import torch
from torch import nn

from runner.errors import WeightsError
from runner.models.weights import read_weights

pytestmark = pytest.mark.attack("weight files")

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.zeros(2)}


class Bomb:
    """What a hostile pickle holds: unpickling it runs a command."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def same(tensors) -> bool:
    return tensors.keys() == STATE.keys() and all(torch.equal(tensors[name], STATE[name]) for name in STATE)


def test_safetensors(tmp_path):
    safetensors.torch.save_file(STATE, tmp_path / "w.safetensors")
    assert same(read_weights(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("suffix", ["pt", "pth", "ckpt", "bin"])
def test_pytorch(tmp_path, suffix):
    torch.save(STATE, tmp_path / f"w.{suffix}")
    assert same(read_weights(str(tmp_path / f"w.{suffix}")))


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_nested(tmp_path, key):
    torch.save(
        {"epoch": 3, "best": torch.tensor(0.5), key: STATE, "optimizer": {"state": {}}}, tmp_path / "w.pt"
    )
    assert same(read_weights(tmp_path / "w.pt"))


def test_code_is_rejected_and_not_executed(tmp_path):
    torch.save({"state_dict": STATE, "x": Bomb(f"touch {tmp_path / 'ran'}")}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"would run \w+\.system, so it is rejected"):
        read_weights(tmp_path / "w.pt")
    assert not (tmp_path / "ran").exists()


def test_whole_module_is_rejected_with_its_class(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict\(\)"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all" * 50])
def test_garbage_file_is_rejected(tmp_path, suffix, content):
    (tmp_path / f"w.{suffix}").write_bytes(content)
    with pytest.raises(WeightsError, match="corrupt|not a readable"):
        read_weights(tmp_path / f"w.{suffix}")


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_truncated_file_is_rejected(tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    safetensors.torch.save_file(STATE, path) if suffix == "safetensors" else torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WeightsError, match="corrupt|not a readable"):
        read_weights(path)


@pytest.mark.parametrize(
    "content, said", [([1, 2], "a list"), ({"lr": 0.1}, "the keys lr"), ({}, "an empty mapping")]
)
def test_file_without_tensors_is_rejected(tmp_path, content, said):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=said):
        read_weights(tmp_path / "w.pt")


def test_missing_file_is_reported_with_similar_names(tmp_path):
    torch.save(STATE, tmp_path / "resnet18.pt")
    with pytest.raises(WeightsError, match=r"Similar files: resnet18\.pt"):
        read_weights(tmp_path / "resnet-18.pt")
    with pytest.raises(WeightsError, match=r"is a folder.*resnet18\.pt"):
        read_weights(tmp_path)
    with pytest.raises(WeightsError, match="No such weights file"):
        read_weights(tmp_path / "no" / "such.pt")


def test_unsupported_format_is_rejected(tmp_path):
    (tmp_path / "w.onnx").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"\.safetensors.*not '\.onnx'"):
        read_weights(tmp_path / "w.onnx")
