"""The path of a training: directions that explain most of it, and where its points lie in a plane."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from runner.errors import UserError
from runner.landscape.path import OptimizationPath, flatten, inner, principal_directions, project
from runner.run.checkpoints import Checkpoint
from runner.run.directory import RunDir

RUN = RunDir("somewhere/mine")


def path_of(offsets: torch.Tensor) -> OptimizationPath:
    return OptimizationPath(
        [Checkpoint(f"step-{n}.ckpt", n, 0, "epoch", "") for n in range(len(offsets))], offsets
    )


def test_directions_are_principal_components_of_the_differences():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    offsets = torch.randn(7, 32) * torch.linspace(0.1, 2, 32)
    directions, shares = principal_directions(path_of(offsets), model, RUN)
    wanted = PCA(2).fit(offsets.numpy())
    for direction, component in zip(directions, wanted.components_, strict=True):
        assert list(direction) == ["0.weight", "2.weight"]
        assert direction["0.weight"].shape == (4, 6) and direction["2.weight"].shape == (2, 4)
        assert abs(float(flatten(direction) @ torch.from_numpy(component))) == pytest.approx(1, abs=1e-4)
    assert shares == pytest.approx(wanted.explained_variance_ratio_, rel=1e-4)


def test_path_within_the_plane_is_fully_explained():
    torch.manual_seed(0)
    model = nn.Linear(20, 3)
    one, two = torch.randn(2, 60)
    offsets = torch.stack([3 * one, one - two, torch.zeros(60), 0.5 * two])
    directions, shares = principal_directions(path_of(offsets), model, RUN)
    points, within = project(offsets, directions)
    back = sum(
        torch.from_numpy(points[:, [n]]) * flatten(direction) for n, direction in enumerate(directions)
    )
    assert torch.allclose(back.float(), offsets, atol=1e-4)
    assert within == pytest.approx(1, abs=1e-5) and sum(shares) == pytest.approx(1, abs=1e-5)


def test_non_orthogonal_directions():
    one, two = {"w": torch.tensor([[1.0, 0, 0]])}, {"w": torch.tensor([[1.0, 1, 0]])}
    points, within = project(torch.tensor([[3.0, 2, 0], [0, 0, 2]]), [one, two])
    assert points == pytest.approx(np.array([[1, 2], [0, 0]]))
    assert within == pytest.approx(13 / 17)


def test_identical_directions():
    one = {"w": torch.tensor([[2.0]])}
    points, within = project(torch.tensor([[3.0]]), [one, one])
    assert points.sum() * 2 == pytest.approx(3) and within == pytest.approx(1)


def test_inner_products_of_rows_longer_than_a_chunk(monkeypatch):
    monkeypatch.setattr("runner.landscape.path.COLUMNS", 7)
    torch.manual_seed(0)
    one, other = torch.randn(3, 20), torch.randn(2, 20)
    assert torch.allclose(inner(one, other), one.double() @ other.double().T)


@pytest.mark.parametrize(
    ("offsets", "told"),
    [
        (torch.zeros(0, 60), "keeps 0 of the 3 that are needed"),
        (torch.randn(2, 60), "keeps 2 of the 3 that are needed"),
        (torch.outer(torch.arange(5.0), torch.ones(60)), "its 5 lie on one line"),
    ],
)
def test_too_few_checkpoints(offsets, told):
    with pytest.raises(UserError, match=told) as error:
        principal_directions(path_of(offsets), nn.Linear(20, 3), RUN)
    assert "checkpoint.keep_last" in str(error.value)
