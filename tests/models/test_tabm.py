import torch
from torch import nn

from runner.models.tabm import FitsInputs, PiecewiseLinearEmbedding, TabM
from runner.tasks.classification import ClassificationTask
from runner.tasks.regression import RegressionTask


def test_output_has_a_row_per_member_in_training_only() -> None:
    model = TabM(5, 3, num_members=4, hidden_sizes=(8,))
    inputs = torch.randn(7, 5)
    rows = model(inputs)
    assert rows.shape == (7, 4, 3)
    model.eval()
    assert torch.allclose(model(inputs), rows.mean(1))


def test_members_differ_but_share_the_linear_layers() -> None:
    model = TabM(5, 1, num_members=4, hidden_sizes=(8,))
    rows = model(torch.randn(7, 5))
    assert rows.std(1).min() > 0
    shapes = [tuple(module.weight.shape) for module in model.modules() if isinstance(module, nn.Linear)]
    assert shapes == [(8, 5 * (1 + 8))]


def test_bins_are_quantiles_of_the_inputs() -> None:
    embedding = PiecewiseLinearEmbedding(1, 4, 2)
    embedding.set_edges(torch.tensor([[0.0, 1.0, 2.0, 2.0, 4.0]]))
    with torch.no_grad():
        embedding.weight.copy_(torch.ones_like(embedding.weight))
        embedding.bias.zero_()
    values = torch.tensor([[-1.0], [0.5], [2.0], [3.0], [9.0]])
    assert embedding(values)[:, 0, 0].tolist() == [0.0, 0.5, 2.0, 2.5, 3.0], (
        "a bin without width has no share"
    )


def test_fitted_bins_are_part_of_the_state() -> None:
    model, other = TabM(2, 1, num_bins=4), TabM(2, 1, num_bins=4)
    assert isinstance(model, FitsInputs)
    model.fit_inputs(torch.arange(20.0).reshape(10, 2))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.embedding.lower, model.embedding.lower)
    assert model.embedding.lower[0].tolist() == [0.0, 4.5, 9.0, 13.5]


def test_each_member_has_its_own_loss() -> None:
    """The mean loss of the members differs from the loss of their mean."""
    torch.manual_seed(0)
    batch = {"inputs": torch.randn(6, 3), "targets": torch.randn(6, 1), "index": torch.arange(6)}
    task = RegressionTask(TabM(3, 1, num_members=4))
    step = task.compute_loss(batch)
    rows = task.model(batch["inputs"])
    assert torch.allclose(step.loss, ((rows - batch["targets"][:, None]) ** 2).mean())
    assert torch.allclose(step.outputs["preds"], rows.mean(1).to(step.outputs["preds"].dtype))
    classes = {**batch, "targets": torch.tensor([0, 1, 0, 1, 0, 1])}
    task = ClassificationTask(TabM(3, 2, num_members=4), class_names=["a", "b"])
    step = task.compute_loss(classes)
    rows = task.model(batch["inputs"])
    losses = [nn.functional.cross_entropy(rows[:, member], classes["targets"]) for member in range(4)]
    assert torch.allclose(step.loss, torch.stack(losses).mean())
    assert step.outputs["logits"].shape == (6, 2)


def test_only_the_first_features_are_embedded() -> None:
    model = TabM(5, 1, num_members=4, hidden_sizes=(8,), num_embedded=2, num_bins=4)
    model.fit_inputs(torch.arange(50.0).reshape(10, 5))
    assert model.embedding.lower.shape == (2, 4)
    assert model.layers[0].weight.weight.shape == (8, 5 + 2 * 8)
    assert model.eval()(torch.randn(7, 5)).shape == (7, 1)
    assert TabM(5, 1, num_embedded=0).embedding is None, "only features that are 0 or 1"
