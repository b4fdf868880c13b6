import torch
from torch import nn

from runner.models.small_cnn import SmallCNN


def test_takes_digits_and_photographs():
    assert SmallCNN(10)(torch.randn(2, 1, 8, 8)).shape == (2, 10)
    assert SmallCNN(3, in_channels=3, widths=[4, 8, 16])(torch.randn(2, 3, 33, 47)).shape == (2, 3)
    assert SmallCNN(1)(torch.randn(2, 1, 8, 8)).shape == (2, 1)


def test_widths_are_the_channels_of_the_blocks():
    convs = [module for module in SmallCNN(2, widths=[4, 6]).modules() if isinstance(module, nn.Conv2d)]
    assert [(conv.in_channels, conv.out_channels) for conv in convs] == [(1, 4), (4, 6)]


def test_dropout_precedes_the_head():
    torch.manual_seed(0)
    model, inputs = SmallCNN(2, dropout=0.5), torch.randn(4, 1, 8, 8)
    assert not torch.equal(model(inputs), model(inputs))
    model.eval()
    assert torch.equal(model(inputs), model(inputs))
