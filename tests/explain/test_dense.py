"""What is asked of a detector's box and a segmenter's mask lights up at the thing."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator

from runner.explain.grad_cam import grad_cam, grad_cam_plus_plus, padded_size
from runner.explain.gradients import in_use, integrated_gradients
from runner.explain.layers import find_layers, named_layer
from runner.explain.occlude import occlude_image
from runner.models.detection.detector import Detector
from runner.models.segmentation.unet import UnetSegmenter
from runner.tasks.detection import DetectionTask
from runner.tasks.explanation import ExplanationRequest
from runner.tasks.segmentation import SegmentationTask

SIDE = 48
CAMS = {"grad_cam": grad_cam, "grad_cam_plus_plus": grad_cam_plus_plus}
METHODS = [*CAMS, "integrated_gradients", "occlusion"]


def squares(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Dark noise with one bright square each: images ``(N, 3, H, W)`` from 0 to 1 and boxes ``(N, 4)``."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.rand((count, 3, SIDE, SIDE), generator=generator)
    boxes = torch.zeros(count, 4)
    for image, box in zip(images, boxes, strict=True):
        size = int(torch.randint(12, 19, (1,), generator=generator))
        left, top = torch.randint(SIDE - size + 1, (2,), generator=generator).tolist()
        image[:, top : top + size, left : left + size] += 0.6
        box += torch.tensor([left, top, left + size, top + size])
    return images, boxes


def masks_of(boxes: torch.Tensor) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return torch.stack(
        [(columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2) for x1, y1, x2, y2 in boxes]
    )


def blocks(*widths: int, stride: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(itertools.pairwise(widths)):
        layers += [
            nn.Conv2d(before, after, 3, padding=1, stride=stride if place < 2 else 1),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


class TinyDetector(Detector, FCOS):
    pass


@pytest.fixture(scope="module")
def detection() -> DetectionTask:
    """A detector that finds the squares."""
    torch.manual_seed(0)
    backbone = blocks(3, 16, 32, 32, stride=2)
    backbone.out_channels = 32
    anchors = AnchorGenerator(sizes=((4,),), aspect_ratios=((1.0,),))
    model = TinyDetector(
        backbone, 1, min_size=SIDE, max_size=SIDE, anchor_generator=anchors, center_sampling_radius=2.0
    )
    nn.init.constant_(model.head.regression_head.bbox_reg.bias, 1.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(70):
        images, boxes = squares(8, step)
        targets = [{"boxes": box[None], "labels": torch.zeros(1, dtype=torch.long)} for box in boxes]
        optimizer.zero_grad()
        sum(model(list(images), targets).values()).backward()
        optimizer.step()
    return DetectionTask(model, class_names=["square"], min_score=0.1).eval()


@pytest.fixture(scope="module")
def segmentation() -> SegmentationTask:
    """A segmenter that outlines the squares."""
    torch.manual_seed(0)
    model = nn.Sequential(blocks(3, 12, 12, 12, stride=1), nn.Conv2d(12, 2, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(25):
        images, boxes = squares(8, step)
        optimizer.zero_grad()
        cross_entropy(model(images), masks_of(boxes).long()).backward()
        optimizer.step()
    return SegmentationTask(model, class_names=["background", "square"]).eval()


def explained(task, image: torch.Tensor, method: str, answer: str) -> tuple[np.ndarray, float | None]:
    """The map, and the completeness error as a share of what was to be explained."""
    inputs = image[None]
    with in_use(task.model):
        (target,) = task.explanation_targets(ExplanationRequest(inputs, task))
        assert target.name == "square"
        if method in CAMS:
            names = find_layers(task.model, target.score, inputs, answer)
            layers = [named_layer(task.model, name) for name in names]
            covered = padded_size(task.model, inputs)
            return CAMS[method](target.score, layers, inputs, answer == "boxes", covered).numpy(), None
        if method == "occlusion":
            return occlude_image(target.score, inputs, torch.full_like(inputs, 0.15)).numpy(), None
        found = integrated_gradients(target.score, inputs, torch.full_like(inputs, 0.15), 64)
        return found.values[0].sum(0).numpy(), abs(found.error / (found.score - found.baseline_score))


@pytest.mark.parametrize("method", METHODS)
def test_box_is_highlighted(method, detection) -> None:
    detection.prepare_explanation()
    assert detection.model.score_thresh == 1e-3
    check(detection, method, answer="boxes")


@pytest.mark.parametrize("method", METHODS)
def test_mask_is_highlighted(method, segmentation) -> None:
    check(segmentation, method, answer="maps")


def check(task, method: str, answer: str) -> None:
    images, boxes = squares(4, 999)
    ratios = []
    for image, mask in zip(images, masks_of(boxes), strict=True):
        values, error = explained(task, image, method, answer)
        values = np.clip(values, 0, None)
        ratios.append(values[mask].mean() / max(values[~mask].mean(), 1e-9))
        assert error is None or error < 0.1
    assert np.median(ratios) > 2, ratios
    assert answer != "boxes" or method not in CAMS or min(ratios) > 10, ratios


def test_no_detections_give_no_targets(detection, segmentation) -> None:
    dark = torch.full((1, 3, SIDE, SIDE), 0.15)
    request = ExplanationRequest(dark, segmentation, target="square")
    assert segmentation.explanation_targets(request) == []
    assert segmentation.explanation_targets(replace(request, target=None))[0].name == "background"
    detection.min_score, before = 2.0, detection.min_score
    assert detection.explanation_targets(ExplanationRequest(squares(1, 0)[0], detection)) == []
    detection.min_score = before


@pytest.mark.parametrize("by_location", [False, True])
@pytest.mark.parametrize("method", CAMS)
def test_internal_padding_does_not_shift_the_maps(method, by_location) -> None:
    """Of 40 × 40 pixels the layers see 64 × 64."""

    class Padded(nn.Sequential):
        def missing_pixels(self, side: int) -> int:
            return -side % 64

        def forward(self, inputs):
            height, width = inputs.shape[-2:]
            return super().forward(nn.functional.pad(inputs, (0, 64 - width, 0, 64 - height)))[
                ..., :height, :width
            ]

    model = Padded(nn.Conv2d(1, 1, 1), nn.ReLU())
    nn.init.ones_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    image = torch.zeros(1, 1, 40, 40)
    image[..., 30:34, 20:24] = 1
    with in_use(model):
        covered = padded_size(model, image)
        values = CAMS[method](lambda x: model(x).sum((1, 2, 3)), [model[0]], image, by_location, covered)
    assert torch.equal(values > 0, image[0, 0] > 0)


def test_padded_size_of_detectors_and_segmenters(detection) -> None:
    assert padded_size(detection.model, torch.rand(1, 3, SIDE, SIDE)) == (64, 64)
    assert padded_size(detection.model, torch.rand(1, 3, 96, 192)) == (
        128,
        256,
    )  # 24 × 48, filled up to 32 × 64
    assert padded_size(UnetSegmenter(2, encoder_depth=3), torch.rand(1, 3, 30, 33)) == (32, 40)
    assert padded_size(nn.Conv2d(3, 1, 1), torch.rand(1, 3, 30, 33)) == (30, 33)
