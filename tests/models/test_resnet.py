import pytest
import torch
from torch import nn

from runner.errors import UserError
from runner.models.pretrained import resnet

PARAMETERS = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}
"""Of torchvision's documentation, with 1000 classes."""


@pytest.mark.parametrize("depth", sorted(PARAMETERS))
def test_every_depth_has_the_published_size(depth):
    with torch.device("meta"):
        model = resnet(depth, num_classes=1000)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[depth]


@pytest.mark.parametrize("in_channels", [1, 3, 4])
@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_channels_and_stems(in_channels, stem):
    model = resnet(18, num_classes=5, in_channels=in_channels, stem=stem).eval()
    assert model(torch.randn(2, in_channels, 32, 32)).shape == (2, 5)


def test_small_stem_keeps_the_size():
    model, image = resnet(18, 2, stem="small"), torch.randn(1, 3, 32, 32)
    assert model.maxpool(model.conv1(image)).shape == (1, 64, 32, 32)
    plain = resnet(18, 2)
    assert plain.maxpool(plain.conv1(image)).shape == (1, 64, 8, 8)


def test_dropout_keeps_the_names_of_tensors():
    with_dropout, without = resnet(18, 2, dropout=0.3), resnet(18, 2)
    assert list(with_dropout.state_dict()) == list(without.state_dict())
    assert with_dropout.fc.dropout == 0.3 and type(without.fc) is nn.Linear
    features = torch.ones(1, 512)
    assert not torch.equal(with_dropout.fc(features), with_dropout.fc(features))


def test_no_pretrained_small_stem():
    with pytest.raises(UserError, match="stem=imagenet"):
        resnet(18, 2, pretrained=True, stem="small")
