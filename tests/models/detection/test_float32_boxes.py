"""Anchors and heads in 32 bits."""

import torch
from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList

from runner.models.detection.detector import Float32Anchors, Float32DefaultBoxes, in_float32

IMAGES = ImageList(torch.zeros(1, 3, 640, 640), [(640, 640)])
FEATURES = [torch.zeros(1, 8, 80, 80), torch.zeros(1, 8, 40, 40)]


def test_anchors_do_not_depend_on_the_feature_precision():
    options = {"sizes": ((33,), (65,)), "aspect_ratios": ((0.5, 1.0),) * 2}
    (expected,) = AnchorGenerator(**options)(IMAGES, FEATURES)
    (found,) = Float32Anchors(**options)(IMAGES, [part.bfloat16() for part in FEATURES])
    assert found.dtype == torch.float32 and torch.equal(found, expected)


def test_default_boxes_do_not_depend_on_the_feature_precision():
    options = {"aspect_ratios": [[2], [2, 3]]}
    (expected,) = DefaultBoxGenerator(**options)(IMAGES, FEATURES)
    (found,) = Float32DefaultBoxes(**options)(IMAGES, [part.bfloat16() for part in FEATURES])
    assert found.dtype == torch.float32 and torch.equal(found, expected)


class Head(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self):
        return self.outputs


def test_every_kind_of_output_is_cast():
    low = torch.ones(2, dtype=torch.bfloat16)
    assert in_float32(Head(low))().dtype == torch.float32
    first, (second,) = in_float32(Head((low, [low])))()
    assert first.dtype == second.dtype == torch.float32
    assert in_float32(Head({"logits": low}))()["logits"].dtype == torch.float32
