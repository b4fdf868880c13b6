"""Zero mean and unit variance, for images and features."""

from __future__ import annotations

import torch

from runner.data.standardize import Standardize


def test_images_are_scaled_by_channel():
    images = torch.randint(0, 256, (5, 3, 4, 6), dtype=torch.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    expected = (images / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    found = Standardize.for_images(mean, std)(images)
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-5)


def test_fitted_features_have_zero_mean_and_unit_variance():
    features = torch.randn(500, 3) * torch.tensor([1.0, 100.0, 0.01]) + torch.tensor([5.0, -300.0, 0.0])
    found = Standardize.fitted(features)(features)
    assert torch.allclose(found.mean(0), torch.zeros(3), atol=1e-4)
    assert torch.allclose(found.std(0, correction=0), torch.ones(3), atol=1e-4)


def test_constant_feature_becomes_zero():
    features = torch.full((4, 1), 7.0)
    assert Standardize.fitted(features)(features).tolist() == [[0.0]] * 4


def test_inputs_are_unchanged():
    features = torch.ones(2, 1)
    Standardize([1.0], [2.0])(features)
    assert features.tolist() == [[1.0], [1.0]]


def test_statistics_are_buffers_and_no_parameters():
    module = Standardize([1.0, 2.0], [3.0, 4.0])
    assert sorted(module.state_dict()) == ["mean", "std"]
    assert list(module.parameters()) == []


def test_gradients_pass():
    features = torch.ones(2, 1, requires_grad=True)
    Standardize([1.0], [4.0])(features).sum().backward()
    assert features.grad.tolist() == [[0.25], [0.25]]


def test_statistics_follow_the_inputs_to_their_device():
    module = Standardize([1.0], [2.0])
    assert module(torch.ones(2, 1, device="meta")).device.type == "meta"
