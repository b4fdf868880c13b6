import torch
from torch.nn import functional

from runner.models.linear import Perceptron


def test_initial_output_is_zero():
    model = Perceptron(2, 2)
    assert torch.equal(model(torch.randn(6, 2)), torch.zeros(6, 2))


def test_learns_a_line_through_two_features():
    inputs = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    targets = (inputs[:, 0] + 2 * inputs[:, 1] > 0.3).long()
    model = Perceptron(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(300):
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    assert (model(inputs).argmax(1) == targets).float().mean() > 0.97
