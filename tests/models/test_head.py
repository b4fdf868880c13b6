import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn
from torchvision.models.segmentation import fcn_resnet50

from runner.models.head import DropoutLinear, build_head, find_head, split_parameters
from runner.models.linear import Logistic
from runner.models.mlp import MLP
from runner.models.pretrained import mobilenet_v2, resnet
from runner.models.segmentation.torchvision import lraspp
from runner.models.segmentation.unet import UnetSegmenter
from runner.models.small_cnn import SmallCNN


@pytest.mark.parametrize(
    "build, head",
    [
        (lambda: Logistic(4, 2), ("head",)),
        (lambda: MLP(4, 2, [3]), ("head",)),
        (lambda: SmallCNN(2), ("head",)),
        (lambda: resnet(18, 2, dropout=0.1), ("fc",)),
        (lambda: mobilenet_v2(2), ("classifier",)),
        (lambda: timm.create_model("convnext_atto", num_classes=2), ("head.fc",)),
        (lambda: timm.create_model("deit_tiny_distilled_patch16_224", num_classes=2), ("head", "head_dist")),
        (lambda: UnetSegmenter(3, encoder_depth=3), ("decoder", "segmentation_head")),
        (
            lambda: smp.Unet("resnet18", 3, None, decoder_channels=(8, 8, 8)),
            ("decoder", "segmentation_head"),
        ),
        (lambda: lraspp(3), ("classifier",)),
        (
            lambda: fcn_resnet50(weights=None, weights_backbone=None, aux_loss=True),
            ("classifier", "aux_classifier"),
        ),
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), nn.Softmax(1)), ("2",)),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 3)), ()),
    ],
)
def test_finds_the_head(build, head):
    assert find_head(build()) == head


def test_every_parameter_is_in_backbone_or_head():
    model = mobilenet_v2(2)
    backbone, head = split_parameters(model)
    assert [tuple(p.shape) for p in head] == [(2, 1280), (2,)]
    assert {*map(id, backbone)} | {*map(id, head)} == {*map(id, model.parameters())}
    assert not {*map(id, backbone)} & {*map(id, head)}


def test_dropout_linear_is_linear_in_evaluation():
    head = build_head(4, 2, 0.5).eval()
    inputs = torch.randn(3, 4)
    torch.testing.assert_close(head(inputs), nn.functional.linear(inputs, head.weight, head.bias))
    assert isinstance(head, DropoutLinear) and not isinstance(build_head(4, 2, 0.0), DropoutLinear)
