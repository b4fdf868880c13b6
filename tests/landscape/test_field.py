"""The loss at a point, held against what is known of it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from runner.landscape.direction import difference, random_direction
from runner.landscape.field import LossField


def grid(num: int = 7, reach: float = 1.0) -> list[tuple[float, float]]:
    return [
        (float(x), float(y)) for y in np.linspace(-reach, reach, num) for x in np.linspace(-reach, reach, num)
    ]


def surface(task, batches, directions) -> np.ndarray:
    with LossField(task, batches, directions) as loss:
        return np.array([loss(*point) for point in grid()])


def test_linear_model_with_squared_error_gives_the_quadratic_form(regression):
    torch.manual_seed(0)
    task, batches = regression(nn.Linear(4, 1))
    directions = [random_direction(task.model, 0, number) for number in (1, 2)]
    inputs = torch.cat([batch["inputs"] for batch in batches]).double().numpy()
    targets = torch.cat([batch["targets"] for batch in batches]).double().numpy()[:, 0]
    weight, bias = (own.detach().double().numpy() for own in (task.model.weight[0], task.model.bias))
    one, two = (direction["weight"][0].double().numpy() for direction in directions)
    residuals = inputs @ weight + bias - targets
    along = np.stack([inputs @ one, inputs @ two])
    hessian, slope = 2 * along @ along.T / len(targets), 2 * along @ residuals / len(targets)
    wanted = [np.mean(residuals**2) + slope @ at + at @ hessian @ at / 2 for at in map(np.array, grid())]
    assert surface(task, batches, directions) == pytest.approx(wanted, rel=1e-5)


def test_rescaled_rectified_layers_have_the_same_surface(regression):
    """The point of the normalisation: ten times a layer and a tenth of the next is the same function."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 1))
    rescaled = copy.deepcopy(network)
    with torch.no_grad():
        rescaled[0].weight.mul_(10)
        rescaled[0].bias.mul_(10)
        rescaled[2].weight.div_(10)
    surfaces = []
    for model in (network, rescaled):
        task, batches = regression(model)
        surfaces.append(surface(task, batches, [random_direction(model, 0, number) for number in (1, 2)]))
    assert surfaces[0] == pytest.approx(surfaces[1], rel=1e-4)
    assert surfaces[0].max() > 1.2 * surfaces[0].min()
    plain = {"0.weight": torch.randn(12, 4), "2.weight": torch.randn(1, 12)}
    unnormalised = []
    for model in (network, rescaled):
        task, batches = regression(model)
        unnormalised.append(surface(task, batches, [plain, plain]))
    assert unnormalised[0] != pytest.approx(unnormalised[1], rel=0.1)


def test_point_is_independent_of_earlier_points_and_random_state(regression):
    torch.manual_seed(0)
    task, batches = regression(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)))
    directions = [random_direction(task.model, 0, number) for number in (1, 2)]
    before = copy.deepcopy(task.state_dict())
    with LossField(task, batches, directions) as loss:
        alone = loss(0.3, -0.7)
        for point in grid(3, 50.0):
            loss(*point)
        torch.manual_seed(77)
        assert loss(0.3, -0.7) == alone
        assert loss(0.3, 0.7) != alone
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())


def test_weights_are_restored_after_a_failure(regression):
    task, _ = regression(nn.Linear(4, 1))
    before = task.model.weight.detach().clone()
    with (
        pytest.raises(KeyError),
        LossField(task, [{"nothing": 1}], [random_direction(task.model, 0, 1)]) as loss,
    ):
        loss(1.0)
    assert torch.equal(task.model.weight, before)


def test_random_draws_of_the_loss_are_the_same_at_each_point(regression):
    class Noisy(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs + torch.randn_like(inputs))

    task, batches = regression(Noisy(4, 1))
    with LossField(task, batches, [random_direction(task.model, 0, 1)]) as loss:
        assert loss(0.0) == loss(0.0)
    with LossField(task, batches, [random_direction(task.model, 0, 1)], seed=1) as other:
        assert other(0.0) != loss(0.0)


def test_shared_weight_is_moved_once(regression):
    """As in a model whose head has the weights of its embedding."""

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = nn.Linear(4, 4)
            self.second.weight = self.first.weight
            self.head = nn.Linear(4, 1)

        def forward(self, inputs):
            return self.head(self.second(self.first(inputs)))

    torch.manual_seed(0)
    (task, batches), other = regression(Tied()), Tied()
    there = regression(other)[0]
    way = difference(task.model, other.state_dict())
    assert {"first.weight", "second.weight"} <= set(way)
    with LossField(task, batches, [way]) as loss, LossField(there, batches, []) as wanted:
        assert loss(1.0) == pytest.approx(wanted(), rel=1e-5)


def test_extrapolated_running_variance_is_not_negative(regression):
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 1))
    other = copy.deepcopy(model)
    other[0].running_var.fill_(0.1)
    other[0].running_mean.fill_(2.0)
    other[1].bias.data.add_(1.0)
    task, batches = regression(model)
    with LossField(task, batches, [difference(model, other.state_dict())]) as loss:
        assert np.isfinite(loss(1.25))
        assert model[0].running_var[0] == pytest.approx(0.1) and model[0].running_mean[0] == pytest.approx(
            2.0
        )
        assert model[1].bias.item() == pytest.approx(other[1].bias.item() + 0.25)  # the weights go on
        loss(-0.25)
        assert model[0].running_var[0] == 1
        loss(0.5)
        assert model[0].running_var[0] == pytest.approx(0.55)
