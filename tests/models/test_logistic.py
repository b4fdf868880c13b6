import torch

from runner.models.linear import Logistic


def test_is_an_affine_map_of_the_flattened_input():
    model = Logistic(in_features=12, num_classes=3)
    torch.nn.init.normal_(model.head.weight)
    torch.nn.init.normal_(model.head.bias)
    inputs = torch.randn(5, 3, 2, 2)
    expected = inputs.reshape(5, 12) @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model(inputs), expected)
    assert sum(p.numel() for p in model.parameters()) == 12 * 3 + 3


def test_one_output_regresses():
    assert Logistic(4, 1)(torch.randn(7, 4)).shape == (7, 1)


def test_initial_output_is_zero():
    assert torch.equal(Logistic(4, 3)(torch.randn(2, 4)), torch.zeros(2, 3))
