"""Every method for images lights up where the evidence was planted, and adds up as it promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn
from torch.nn.functional import interpolate

from runner.errors import UserError
from runner.explain.grad_cam import grad_cam, plus_plus
from runner.explain.gradients import in_use, integrated_gradients


def test_patch_is_highlighted(image_method, patch_net, patches, share_inside) -> None:
    images, targets, masks = patches(12, 77)
    shares = []
    for image, target, mask in zip(images, targets, masks, strict=True):
        with in_use(patch_net):
            values = image_method(patch_net, lambda x, t=target: patch_net(x)[:, t], image[None])
        assert values.shape == image.shape[1:]
        shares.append(share_inside(values.numpy(), mask.numpy()))
    chance = float(masks[0].float().mean())
    assert chance < 0.07 and np.mean(shares) >= 0.8, shares


def test_grad_cam_matches_captum(patch_net, patches) -> None:
    image, target, _ = (part[0] for part in patches(1, 5))

    def score(x):
        return patch_net(x)[:, target]

    layer = patch_net[0][2]  # not the last maps: they are brought to the input's size
    with in_use(patch_net):
        ours = grad_cam(score, [layer], image[None])
        theirs = LayerGradCam(score, layer).attribute(
            image[None].clone().requires_grad_(), relu_attributions=True
        )
    theirs = interpolate(theirs, size=ours.shape, mode="bilinear")[0, 0].detach()
    assert ours.max() > 0 and torch.allclose(ours, theirs, atol=1e-6)


def test_grad_cam_plus_plus_matches_manual_computation() -> None:
    """The formula of the paper, pixel by pixel."""
    torch.manual_seed(0)
    maps, gradients = torch.rand(1, 2, 3, 3), torch.randn(1, 2, 3, 3)
    expected = torch.zeros(3, 3)
    for channel in range(2):
        weight = 0.0
        for g in gradients[0, channel].flatten():
            alpha = g**2 / (2 * g**2 + maps[0, channel].sum() * g**3)
            weight += alpha * max(g, 0)
        expected += weight * maps[0, channel]
    assert torch.allclose(plus_plus(maps, gradients)[0], expected.relu(), atol=1e-6)


def test_several_layers_are_summed_and_unused_ones_contribute_zero(patch_net, patches) -> None:
    image = patches(1, 5)[0]
    with in_use(patch_net):
        one, two, both = (
            grad_cam(lambda x: patch_net(x)[:, 0], layers, image)
            for layers in ([patch_net[0][2]], [patch_net[0][5]], [patch_net[0][2], patch_net[0][5]])
        )
        silent = grad_cam(
            lambda x: 0.0 * x.sum((1, 2, 3)) + patch_net(x)[:, 0].detach(), [patch_net[0]], image
        )
    assert torch.allclose(one + two, both, atol=1e-6) and not silent.any()


def test_layer_without_feature_maps_is_rejected(patch_net, patches) -> None:
    with in_use(patch_net), pytest.raises(UserError, match=r"returns \(1, 3\)"):
        grad_cam(lambda x: patch_net(x)[:, 0], [patch_net[3]], patches(1, 5)[0])


def test_integrated_gradients_are_complete(patch_net, patches) -> None:
    images, targets, _ = patches(4, 3)
    for image, target in zip(images, targets, strict=True):
        with in_use(patch_net):
            found = integrated_gradients(
                lambda x, t=target: patch_net(x)[:, t], image[None], 0 * image[None], 200
            )
            with torch.no_grad():
                ends = [float(patch_net(x)[0, target]) for x in (image[None], 0 * image[None])]
        assert [found.score, found.baseline_score] == pytest.approx(ends)
        assert float(found.values.sum()) == pytest.approx(
            ends[0] - ends[1], abs=0.02 * abs(ends[0] - ends[1])
        )
        assert found.error == pytest.approx(float(found.values.sum()) - (ends[0] - ends[1]), abs=1e-4)


def test_integrated_gradients_of_a_linear_model_are_exact() -> None:
    weight = torch.tensor([2.0, -1.0, 0.5])
    inputs, baseline = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    found = integrated_gradients(lambda x: x @ weight, inputs, baseline, 2)
    assert torch.allclose(found.values, (inputs - baseline) * weight) and abs(found.error) < 1e-6


def test_model_state_is_restored() -> None:
    """Modes and what needs gradients are as before; recurrent layers can go backward in evaluation mode."""
    model = nn.Sequential(nn.LSTM(2, 3, batch_first=True), nn.Dropout())
    model[0].weight_ih_l0.requires_grad_(False)
    model.train()
    inputs = torch.randn(1, 4, 2, requires_grad=True)
    with torch.no_grad(), in_use(model):
        assert not model.training and not any(p.requires_grad for p in model.parameters())
        assert not torch.backends.cudnn.enabled
        assert torch.autograd.grad(model[0](inputs)[0].sum(), inputs)[0].shape == inputs.shape
    assert model.training and torch.backends.cudnn.enabled
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True]
