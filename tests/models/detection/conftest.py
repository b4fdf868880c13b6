"""Small detectors of every kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from runner.models.detection.faster_rcnn import FasterRCNNDetector
from runner.models.detection.fcos import FCOSDetector
from runner.models.detection.retinanet import RetinaNetDetector
from runner.models.detection.ssdlite import SSDLiteDetector

SMALL: dict[str, tuple[Callable[..., nn.Module], dict]] = {
    "faster_rcnn": (
        FasterRCNNDetector,
        {
            "backbone": "resnet18",
            "channels": 32,
            "hidden_size": 64,
            "anchor_sizes": [8, 16, 32, 64, 96],
            "min_size": 64,
            "num_proposals": 50,
            "rois_per_image": 32,
        },
    ),
    "faster_rcnn_mobilenet": (
        FasterRCNNDetector,
        {
            "backbone": "mobilenet_v2",
            "levels": [2, 3, 5],
            "channels": 32,
            "hidden_size": 64,
            "min_size": 64,
            "anchor_sizes": [[8, 16], [24, 32], [48, 64], [80, 96]],
            "num_proposals": 50,
            "rois_per_image": 32,
        },
    ),
    "retinanet": (
        RetinaNetDetector,
        {
            "backbone": "resnet18",
            "channels": 32,
            "group_norm": True,
            "min_size": 64,
            "anchor_sizes": [8, 16, 32, 64, 96],
        },
    ),
    "fcos": (FCOSDetector, {"backbone": "resnet18", "channels": 32, "head_convs": 1, "min_size": 64}),
    "ssdlite": (SSDLiteDetector, {"backbone": "mobilenet_v3_large", "size": 96}),
    "ssdlite_v2": (SSDLiteDetector, {"backbone": "mobilenet_v2", "size": 96}),
}


@pytest.fixture(scope="session")
def small() -> Callable[..., nn.Module]:
    """``small(kind, num_classes=3, **options)``: a fresh detector, the same each time."""

    def make(kind: str, num_classes: int = 3, **options) -> nn.Module:
        torch.manual_seed(0)
        builder, own = SMALL[kind]
        return builder(num_classes, **own | options)

    return make


@pytest.fixture
def images() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(3, 64, 64, generator=generator), torch.rand(3, 50, 80, generator=generator)]


@pytest.fixture
def targets() -> list[dict[str, torch.Tensor]]:
    return [
        {"boxes": torch.tensor([[10.0, 10, 40, 40], [30, 5, 60, 30]]), "labels": torch.tensor([0, 2])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)},
    ]
