"""Explanations depend on the learned weights: they change when weights become random."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from runner.explain.gradients import in_use
from runner.explain.layers import used_layers
from runner.explain.sanity import cascade, groups_from_the_end, randomise, rank_correlation


def test_maps_change_as_layers_are_randomised(image_method, patch_net, patches) -> None:
    model = copy.deepcopy(patch_net)
    images, targets, _ = patches(3, 9)

    def explain() -> list[np.ndarray]:
        with in_use(model):
            return [
                image_method(model, lambda x, t=target: model(x)[:, t], image[None]).numpy()
                for image, target in zip(images, targets, strict=True)
            ]

    names = used_layers(model, lambda x: model(x)[:, 0], images[:1])
    assert names == ["0.0", "0.1", "0.3", "0.4", "0.6", "0.7", "3"]
    found = cascade(model, names, explain)
    assert [name for name, _, _ in found] == names[::-1]
    assert abs(found[-1][1]) < 0.5


def test_edge_detector_fails_the_sanity_check(patches) -> None:
    """An edge detector presented as an explanation ranks the same for all weights."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    image = patches(1, 2)[0][0]

    def edges() -> list[np.ndarray]:
        return [np.abs(np.diff(image.sum(0).numpy(), axis=0))]

    assert [round(mean, 6) for _, mean, _ in cascade(model, ["0"], edges)] == [1.0]


def test_rank_correlation() -> None:
    one = np.array([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(one, one**3) == pytest.approx(1) and rank_correlation(one, -one) == pytest.approx(
        -1
    )
    assert rank_correlation(one, np.ones(4)) == 0.0  # no map left


def test_layer_groups_start_at_the_output_and_are_limited() -> None:
    assert groups_from_the_end(["stem", "a.x", "a.y", "head"]) == [
        ("head", ["head"]), ("a.y", ["a.y"]), ("a.x", ["a.x"]), ("stem", ["stem"])
    ]  # fmt: skip
    many = [f"layer{i}.{j}.conv{k}" for i in range(3) for j in range(4) for k in range(3)] + ["fc"]
    groups = groups_from_the_end(many)
    assert (
        len(groups) == 13 and groups[0][0] == "fc" and groups[1][0] == "layer2.3" and len(groups[1][1]) == 3
    )


def test_modules_without_reset_parameters_are_shuffled() -> None:
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.arange(50.0))

    bare = Bare()
    randomise(bare)
    assert not torch.equal(bare.weight, torch.arange(50.0)) and torch.equal(
        bare.weight.sort()[0], torch.arange(50.0)
    )
