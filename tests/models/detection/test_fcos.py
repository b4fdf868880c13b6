"""FCOS: what torchvision's start from random weights would not learn."""

import pytest
import torch

from runner.models.detection.fcos import FCOSDetector


@pytest.mark.parametrize("seed", [0, 5])
def test_every_box_side_has_a_gradient_initially(seed, images, targets):
    """With torchvision's own start two opposite sides stay at zero under seed 5, for ever."""
    torch.manual_seed(seed)
    model = FCOSDetector(
        3, "resnet18", levels=[2, 3], channels=32, head_convs=1, min_size=64, max_size=64
    ).train()
    model(images, targets)["bbox_regression"].backward()
    gradient = model.head.regression_head.bbox_reg.weight.grad
    assert (gradient.abs().sum((1, 2, 3)) > 0).all()
