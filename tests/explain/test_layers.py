"""The layer that Grad-CAM takes is found in the models that people use."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from torch import nn

from runner.errors import UserError
from runner.explain.gradients import in_use
from runner.explain.layers import find_layers, named_layer
from runner.models.detection.fcos import FCOSDetector
from runner.models.detection.ssdlite import SSDLiteDetector
from runner.models.mlp import MLP
from runner.models.segmentation.unet import UnetSegmenter
from runner.models.small_cnn import SmallCNN
from runner.tasks.detection import DetectionTask

CLASSIFIERS = {
    "small_cnn": (lambda: SmallCNN(3, 3), "backbone"),
    "resnet18": (lambda: torchvision.models.resnet18(num_classes=3), "layer4"),
    "mobilenet_v2": (lambda: torchvision.models.mobilenet_v2(num_classes=3), "features"),
    "timm resnet10t": (lambda: timm.create_model("resnet10t", num_classes=3), "layer4"),
    "timm mobilenetv3": (lambda: timm.create_model("mobilenetv3_small_050", num_classes=3), "blocks"),
    "timm efficientnet": (lambda: timm.create_model("test_efficientnet", num_classes=3), "bn2"),
    "timm vit": (lambda: timm.create_model("test_vit", num_classes=3, img_size=64), None),
    "mlp": (lambda: MLP(3 * 64 * 64, 3), None),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_last_feature_maps_of_a_classifier(name) -> None:
    build, expected = CLASSIFIERS[name]
    model = build()
    with in_use(model):
        found = find_layers(model, lambda x: model(x)[:, 0], torch.randn(1, 3, 64, 64))
    assert found == ([] if expected is None else [expected])


def test_input_of_the_last_convolution_of_a_segmenter() -> None:
    model = UnetSegmenter(2, encoder_depth=3)
    with in_use(model):
        found = find_layers(model, lambda x: model(x)[:, 0].sum((1, 2)), torch.randn(1, 3, 32, 32), "maps")
    assert found == ["decoder"]


@pytest.mark.parametrize(
    "build",
    [lambda: FCOSDetector(2, "resnet18", channels=32, min_size=160), lambda: SSDLiteDetector(2, size=64)],
)
def test_feature_pyramid_of_a_detector(build) -> None:
    model = build().eval()
    DetectionTask(model, class_names=["a", "b"]).prepare_explanation()
    with in_use(model):
        layers = find_layers(
            model,
            lambda x: torch.stack([part["scores"].sum() for part in model(list(x))]),
            torch.rand(1, 3, 64, 64),
            "boxes",
        )
    assert len(layers) > 1 and all(isinstance(named_layer(model, name), nn.Module) for name in layers)
    assert all(name.startswith("backbone.") for name in layers)


def test_misspelled_layer() -> None:
    with pytest.raises(UserError, match="Did you mean 'backbone'"):
        named_layer(SmallCNN(3, 3), "bakbone")
    with pytest.raises(UserError, match="Some of them: backbone"):
        named_layer(SmallCNN(3, 3), "xyz")
