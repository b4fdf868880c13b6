import pytest
import torch
from torch import nn

from runner.models.segmentation.encoder import PadToStride
from runner.models.segmentation.unet import UnetSegmenter


class Stride8(nn.Module):
    """Stands for a library's model: puts out what it got, and refuses what it cannot halve three times."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Identity()
        self.encoder.output_stride = 8
        self.seen = None

    def forward(self, inputs):
        assert inputs.shape[-1] % 8 == 0 and inputs.shape[-2] % 8 == 0
        self.seen = inputs
        return 2 * inputs


class Padded(PadToStride, Stride8):
    pass


class NeedsPairs(PadToStride, Stride8):
    multiple = 2


class NeedsFour(PadToStride, Stride8):
    smallest_map = 4


@pytest.mark.parametrize("size", [(8, 16), (9, 17), (1, 7), (15, 8)])
def test_padded_and_cropped(size):
    model, inputs = Padded(), torch.randn(2, 3, *size)
    torch.testing.assert_close(model(inputs), 2 * inputs)
    assert all(
        side % 8 == 0 and side - given < 8 for side, given in zip(model.seen.shape[2:], size, strict=True)
    )


def test_padding_repeats_the_edge():
    model = Padded()
    model(torch.arange(5.0).view(1, 1, 1, 5))
    assert model.seen[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
    assert (model.seen[0, 0] == model.seen[0, 0, 0]).all()


def test_small_images_are_padded_to_the_minimum_size():
    model = NeedsFour()
    assert model(torch.randn(1, 3, 10, 40)).shape == (1, 3, 10, 40)
    assert model.seen.shape == (1, 3, 32, 40)
    model = NeedsPairs()
    assert model(torch.randn(1, 3, 10, 40)).shape == (1, 3, 10, 40)
    assert model.seen.shape == (1, 3, 16, 48)


def test_images_that_fit_are_not_padded():
    model = UnetSegmenter(3, encoder_depth=3, decoder_channels=[8, 8, 8]).eval()
    image = torch.randn(1, 3, 24, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(image), super(PadToStride, model).forward(image))
