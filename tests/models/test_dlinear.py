"""DLinear against its definition."""

from __future__ import annotations

import pytest
import torch

from runner.errors import UserError
from runner.models.dlinear import DLinear


@pytest.mark.parametrize("individual", [False, True])
def test_is_a_linear_map_of_trend_and_rest(individual):
    torch.manual_seed(0)
    model = DLinear(8, 3, [2, 0], kernel_size=3, individual=individual)
    torch.nn.init.normal_(model.weight)
    torch.nn.init.normal_(model.bias)
    inputs = torch.randn(5, 8, 4)
    outputs = model(inputs).view(5, 3, 2)
    for place, column in enumerate((2, 0)):
        past = inputs[:, :, column]
        padded = torch.cat([past[:, :1], past, past[:, -1:]], 1)
        trend = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3
        layer = place if individual else 0
        rest, slow = model.weight[0, layer], model.weight[1, layer]
        expected = (past - trend) @ rest.T + trend @ slow.T + model.bias[layer]
        assert torch.allclose(outputs[:, :, place], expected, atol=1e-5)


def test_even_window_is_rejected():
    with pytest.raises(UserError, match="expected an odd number"):
        DLinear(8, 3, [0], kernel_size=4)
