import torch

from runner.models.pretrained import mobilenet_v2


def test_has_the_published_size():
    assert sum(p.numel() for p in mobilenet_v2(1000).parameters()) == 3_504_872


def test_channels_classes_and_dropout():
    model = mobilenet_v2(2, in_channels=1, dropout=0.4)
    assert model.eval()(torch.randn(2, 1, 32, 32)).shape == (2, 2)
    assert model.classifier[0].p == 0.4
