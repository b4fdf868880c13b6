"""The same gradients and statistics from less memory."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
import torchvision
from distributed.ranks import points, trained
from torch import nn

from runner.distributed.activation_checkpointing import checkpoint_activations
from runner.distributed.blocks import find_blocks
from runner.errors import ConfigError

MODELS = {
    "resnet": (lambda: torchvision.models.resnet18(num_classes=3), None, 8),
    "mobilenet": (lambda: torchvision.models.mobilenet_v2(num_classes=3), None, 17),
    "timm vit": (
        lambda: timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=3, drop_rate=0.1),
        None,
        12,
    ),
    "timm convnext": (lambda: timm.create_model("convnext_atto", num_classes=3), None, 4),
    "by pattern": (lambda: torchvision.models.resnet18(num_classes=3), "layer[34].*", 4),
}


def backward(model: nn.Module, inputs: torch.Tensor) -> tuple[dict, dict, int]:
    """Gradients, buffers, and bytes kept for the backward pass."""
    kept: dict[int, int] = {}
    storages = []

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        storages.append(storage)
        return tensor

    torch.manual_seed(1)
    model.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(inputs).square().mean()
    loss.backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    return gradients, {name: buffer.clone() for name, buffer in model.named_buffers()}, sum(kept.values())


@pytest.mark.parametrize("name", MODELS)
def test_same_gradients_statistics_and_dropout_with_less_memory(name: str) -> None:
    make, pattern, number = MODELS[name]
    torch.manual_seed(0)
    plain = make()
    thrifty = copy.deepcopy(plain)
    assert checkpoint_activations(thrifty, pattern) == number
    assert thrifty.state_dict().keys() == plain.state_dict().keys()
    inputs = torch.randn(4, 3, 64, 64)
    gradients, buffers, much = backward(plain, inputs)
    same_gradients, same_buffers, little = backward(thrifty, inputs)
    assert all(gradients[key].equal(same_gradients[key]) for key in gradients)
    assert all(buffers[key].equal(same_buffers[key]) for key in buffers), "statistics are gathered once"
    assert little < 0.7 * much
    copied = copy.deepcopy(thrifty).eval()
    assert copied(inputs).equal(thrifty.eval()(inputs))


def test_model_without_repeated_blocks_is_rejected() -> None:
    with pytest.raises(ConfigError, match="no effect on Sequential: it has no repeated blocks"):
        checkpoint_activations(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)))
    with pytest.raises(ConfigError, match="no module name matches.*layer1"):
        checkpoint_activations(torchvision.models.resnet18(), "stage*")


def test_blocks_are_not_nested() -> None:
    names = list(find_blocks(torchvision.models.resnet18()))
    assert names == [f"layer{layer}.{block}" for layer in range(1, 5) for block in range(2)]


def test_run_is_bit_identical(tmp_path) -> None:
    words = (
        "data=digits",
        "model=resnet18_small",
        "trainer.max_steps=2",
        "+trainer.limit_val_batches=1",
        "+trainer.limit_test_batches=1",
        "data.batch_size=8",
    )
    plain = trained(tmp_path / "plain", 1, *words)
    thrifty = trained(tmp_path / "thrifty", 1, *words, "hardware.activation_checkpointing=true")
    assert points(plain) == points(thrifty)


def test_mlp_is_rejected_before_it_trains(tmp_path) -> None:
    with pytest.raises(
        ConfigError, match="hardware.activation_checkpointing=true would have no effect on MLP"
    ):
        trained(tmp_path / "run", 1, "data=digits", "model=mlp", "hardware.activation_checkpointing=true")
