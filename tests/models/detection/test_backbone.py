"""Backbones: stages, freezing, still norms, weights from a file."""

import pytest
import safetensors.torch
import torch
import torchvision
from torch import nn
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from runner.errors import UserError, WeightsError
from runner.models.detection.backbone import FixedBatchNorm2d, feature_pyramid, freeze_batch_norms, stages_of


def pyramid(
    name="resnet18", levels=(1, 2, 3, 4), weights=None, still_norm=None, num_trained=None, has_weights=None
):
    has_weights = bool(weights) if has_weights is None else has_weights
    return feature_pyramid(
        name, list(levels), 32, LastLevelMaxPool(), False, weights, has_weights, still_norm, num_trained
    )


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_large"])
def test_stage_k_has_stride_2_to_the_k_plus_1(name):
    _, stages = stages_of(torchvision.models.get_model(name, weights=None))
    levels = list(range(len(stages)))
    features = pyramid(name, levels).eval()(torch.rand(1, 3, 64, 64))
    sides = [part.shape[-1] for part in features.values()]
    expected = [64 // 2 ** (level + 1) for level in levels]
    if name.startswith("mobilenet"):
        expected[-1] = expected[-2]
    assert sides[:-1] == expected
    assert all(part.shape[1] == 32 for part in features.values())


@pytest.mark.parametrize("levels", [[], [3, 2], [1, 1], [4, 5]])
def test_invalid_levels_are_rejected(levels):
    with pytest.raises(UserError, match="stages of resnet18"):
        pyramid(levels=levels)


def mobilenet_file(folder) -> str:
    torch.manual_seed(3)
    classifier = torchvision.models.mobilenet_v2(weights=None, num_classes=7)
    for module in classifier.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
    path = folder / "mobilenet_v2.safetensors"
    state = {
        name: tensor for name, tensor in classifier.state_dict().items() if not name.startswith("classifier")
    }
    safetensors.torch.save_file(state, path)
    return str(path)


def test_weights_of_a_file_fill_the_backbone(tmp_path):
    path = mobilenet_file(tmp_path)
    filled = pyramid("mobilenet_v2", [2, 3, 5], weights=path)
    state = safetensors.torch.load_file(path)
    for name, tensor in filled.body.state_dict().items():
        assert torch.equal(tensor, state[f"features.{name}"]), name


def test_same_file_fills_a_detector_that_is_already_built(tmp_path):
    from runner.models.weights import load_weights

    model = nn.Module()
    model.backbone = pyramid("mobilenet_v2", [2, 3, 5])
    model.head = nn.Linear(2, 2)
    path = mobilenet_file(tmp_path)
    report = load_weights(model, path)
    assert len(report.loaded) == len(model.backbone.body.state_dict())


def test_weights_of_another_backbone_are_rejected(tmp_path):
    with pytest.raises(WeightsError):
        pyramid("resnet18", weights=mobilenet_file(tmp_path))
    with pytest.raises(WeightsError, match="No such weights file"):
        pyramid("resnet18", weights=str(tmp_path / "gone.safetensors"))


def trained_stages(body) -> set[str]:
    return {name.split(".")[0] for name, p in body.named_parameters() if p.requires_grad and "bn" not in name}


def test_first_stages_can_be_frozen():
    every = {"conv1", "layer1", "layer2", "layer3", "layer4"}
    assert trained_stages(pyramid().body) == every
    assert trained_stages(pyramid(has_weights=True).body) == {"layer2", "layer3", "layer4"}
    assert trained_stages(pyramid(has_weights=True, num_trained=1).body) == {"layer4"}
    assert trained_stages(pyramid(has_weights=True, num_trained=5).body) == every
    assert trained_stages(pyramid(has_weights=True, num_trained=0).body) == set()


def test_random_weights_are_not_frozen():
    with pytest.raises(UserError, match="would freeze stages with random weights"):
        pyramid(num_trained=2)
    with pytest.raises(UserError, match="the backbone has 5 stages"):
        pyramid(has_weights=True, num_trained=6)


def test_norms_are_frozen_with_pretrained_weights():
    assert any(isinstance(m, FixedBatchNorm2d) for m in pyramid(has_weights=True).modules())
    assert not any(isinstance(m, FixedBatchNorm2d) for m in pyramid().modules())
    assert not any(
        isinstance(m, FixedBatchNorm2d) for m in pyramid(has_weights=True, still_norm=False).modules()
    )


def test_frozen_norm_matches_a_norm_in_evaluation():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4, eps=0.01)))
    net(torch.randn(8, 3, 9, 9))
    inputs = torch.randn(2, 3, 9, 9)
    expected = net.eval()(inputs)
    names = list(net.state_dict())
    freeze_batch_norms(net)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert torch.equal(net.train()(inputs), expected)
    assert list(net.state_dict()) == names
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert [p.requires_grad for p in net.parameters()] == [True, True, False, False]


def test_unmatched_classifier_file_suggests_backbone_weights(tmp_path, small):
    from runner.models.weights import load_weights

    with pytest.raises(WeightsError, match="model.backbone_weights=FILE"):
        load_weights(small("ssdlite_v2"), mobilenet_file(tmp_path))
