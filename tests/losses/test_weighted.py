import pytest
import torch
from torch import nn

from runner.config.build import build
from runner.errors import UserError
from runner.losses.weighted import WeightedSum


def test_losses_are_summed_by_their_weights():
    outputs, targets = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])
    loss = WeightedSum([nn.MSELoss(), nn.L1Loss()], [2.0, 0.5])
    assert loss(outputs, targets) == pytest.approx(2 * 2.5 + 0.5 * 1.5)
    assert WeightedSum([nn.MSELoss(), nn.L1Loss()])(outputs, targets) == pytest.approx(2.5 + 1.5)


def test_from_a_config():
    node = {
        "_target_": "runner.losses.weighted.WeightedSum",
        "losses": [
            {"_target_": "torch.nn.CrossEntropyLoss", "ignore_index": 255},
            {
                "_target_": "segmentation_models_pytorch.losses.LovaszLoss",
                "mode": "multiclass",
                "ignore_index": 255,
            },
        ],
        "weights": [1.0, 0.5],
    }
    logits, targets = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    targets[0] = 255
    assert build(node)(logits, targets).isfinite()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], None), "0 losses"),
        (([nn.MSELoss()], [1.0, 2.0]), "1 losses but 2 weights"),
        ((["mse"],), "is not a loss"),
    ],
)
def test_invalid_input(arguments, message):
    with pytest.raises(UserError, match=message):
        WeightedSum(*arguments)
