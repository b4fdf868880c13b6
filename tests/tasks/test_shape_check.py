import pytest
import torch
from torch import nn

from runner.errors import UserError
from runner.models.mlp import MLP
from runner.models.pretrained import resnet
from runner.models.small_cnn import SmallCNN
from runner.models.timm import timm_model
from runner.tasks.shape_check import check_output_shape


def test_model_and_random_state_are_unchanged():
    model = SmallCNN(2, dropout=0.5)
    model.backbone[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    check_output_shape(model, (1, 8, 8), 2)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.training and model.backbone[2].training and not model.backbone[1].training


def test_table_is_not_an_image():
    with pytest.raises(UserError, match=r"ResNet cannot take .* of shape \(13,\)"):
        check_output_shape(resnet(18, 2, in_channels=13), (13,), 2)


def test_too_small_image_is_rejected():
    model = timm_model("vit_tiny_patch16_224", 2)
    with pytest.raises(UserError, match=r"VisionTransformer cannot take .* \(3, 8, 8\)"):
        check_output_shape(model, (3, 8, 8), 2)


def test_wrong_output_shape_is_rejected():
    with pytest.raises(UserError, match=r"returns \(1, 10\).*requires \(1, 3\)"):
        check_output_shape(MLP(4, 10), (4,), 3)
    with pytest.raises(UserError, match="a tuple"):
        check_output_shape(nn.LSTM(4, 3), (2, 4), 3)
