"""Models of known behaviour: only one feature separates the classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from runner.explain.grad_cam import grad_cam, grad_cam_plus_plus
from runner.explain.gradients import integrated_gradients
from runner.explain.occlude import occlude_image

SIDE, PATCH = 24, 6
COLORS = torch.tensor([[1.5, -1.5, -1.5], [-1.5, -1.5, 1.5], [-1.5, 1.5, -1.5]])

IMAGE_METHODS = {
    "grad_cam": lambda model, score, x: grad_cam(score, [model[0]], x),
    "grad_cam_plus_plus": lambda model, score, x: grad_cam_plus_plus(score, [model[0]], x),
    "integrated_gradients": lambda model, score, x: (
        integrated_gradients(score, x, 0 * x, 32).values[0].sum(0)
    ),
    "occlusion": lambda model, score, x: occlude_image(score, x, 0 * x),
}
"""The map that each makes of an image, by a network whose first part gives its feature maps."""


@pytest.fixture(params=IMAGE_METHODS)
def image_method(request: pytest.FixtureRequest) -> Callable[..., Tensor]:
    return IMAGE_METHODS[request.param]


def patched(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Noise with a patch at a random place, whose colour is the class: images, class ids, bool masks ``(N, H,
    W)``.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((count, 3, SIDE, SIDE), generator=generator)
    targets = torch.randint(len(COLORS), (count,), generator=generator)
    corners = torch.randint(SIDE - PATCH + 1, (count, 2), generator=generator)
    masks = torch.zeros((count, SIDE, SIDE), dtype=torch.bool)
    for mask, (top, left) in zip(masks, corners.tolist(), strict=True):
        mask[top : top + PATCH, left : left + PATCH] = True
    colored = 0.3 * images + COLORS[targets][:, :, None, None]
    return torch.where(masks[:, None], colored, images), targets, masks


def fit(
    model: nn.Module, batches: Callable[[int], tuple[Tensor, Tensor]], steps: int, loss=cross_entropy, lr=0.01
):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for step in range(steps):
        inputs, targets = batches(step)
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="session")
def patch_net() -> nn.Module:
    """A convolutional classifier that distinguishes the colours of patches."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in ((3, 12), (12, 16), (16, 16)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    model = nn.Sequential(nn.Sequential(*layers), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3))
    fit(model, lambda step: patched(48, step)[:2], 60)
    images, targets, _ = patched(200, 10_000)
    with torch.no_grad():
        assert (model(images).argmax(1) == targets).float().mean() > 0.97
    return model


@pytest.fixture(scope="session")
def share_inside() -> Callable[[np.ndarray, np.ndarray], float]:
    """``share_inside(values, mask)``: of the highest positive values, as many as the mask is large, what
    share lies in it, by their size."""

    def share(values: np.ndarray, mask: np.ndarray) -> float:
        values = np.clip(np.asarray(values, dtype=float), 0, None)
        bound = np.sort(values.ravel())[-int(mask.sum())]
        top = np.where(values >= max(bound, 1e-12), values, 0.0)
        return float(top[mask].sum() / top.sum())

    return share


@pytest.fixture(scope="session")
def patches() -> Callable[[int, int], tuple[Tensor, Tensor, Tensor]]:
    return patched


@pytest.fixture(scope="session")
def train() -> Callable[..., nn.Module]:
    return fit
