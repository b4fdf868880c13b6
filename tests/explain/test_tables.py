"""Permutation importance and what columns add to an answer."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from runner.data.split import ArraySource, Split
from runner.data.tables.encoder import TableEncoder
from runner.errors import UserError
from runner.explain.explanation import Attribution, Explanation
from runner.explain.options import ExplainOptions
from runner.explain.pictures import caption
from runner.explain.samples import Sample
from runner.explain.table import RowExplainer, permutation_importance
from runner.tasks.classification import BinaryClassificationTask, ClassificationTask
from runner.tasks.explanation import ExplanationTarget
from runner.tasks.regression import RegressionTask


def quality(inputs: torch.Tensor) -> torch.Tensor:
    """Right where column c has the sign of column a; b says nothing."""
    return ((inputs[:, 0] > 0) == TRUTH).double().mean()


FEATURES = torch.randn((400, 3), generator=torch.Generator().manual_seed(0))
TRUTH = FEATURES[:, 0] > 0


def test_informative_column_comes_first() -> None:
    found = permutation_importance(quality, FEATURES, ["a", "b", "c"], "accuracy", repeats=8)
    assert found.score == 1.0 and found.num_samples == 400
    assert found.mean[0] == pytest.approx(0.5, abs=0.05) and 0 < found.std[0] < 0.05
    assert found.mean[1:].tolist() == [0.0, 0.0] and found.std[1:].tolist() == [0.0, 0.0]


def test_seed_is_reproducible_and_leaves_the_global_generator_unchanged() -> None:
    state = torch.get_rng_state()
    one, same, other = (
        permutation_importance(quality, FEATURES, ["a", "b", "c"], "accuracy", 2, seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.mean, same.mean) and not np.array_equal(one.mean, other.mean)
    assert torch.equal(state, torch.get_rng_state())


def test_features_of_a_column_are_permuted_together() -> None:
    """Two features that only say the same: permuted one by one each would be the other's proof."""

    def either(inputs: torch.Tensor) -> torch.Tensor:
        return (((inputs[:, 0] > 0) | (inputs[:, 1] > 0)) == twice[:, 0].gt(0)).double().mean()

    twice = FEATURES[:, [0, 0, 1]]
    together = permutation_importance(either, twice, ["a", "a", "b"], "accuracy")
    assert together.names == ["a", "b"] and together.mean[0] == pytest.approx(0.5, abs=0.05)


def explainer(task, features, wish=None, given=False) -> RowExplainer:
    data = SimpleNamespace(
        features=lambda: features,
        batch_inputs=torch.stack,
        on_after_batch_transfer=lambda batch, _: batch,
    )
    return RowExplainer(SimpleNamespace(task=task.eval(), data=data), wish or ExplainOptions(), given)


def linear(weights: list[float], bias: float = 0.0) -> nn.Linear:
    layer = nn.Linear(len(weights), 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weights]))
        layer.bias.fill_(bias)
    return layer


def test_column_attributions_sum_to_the_regression_output() -> None:
    """In the unit of the data; the slots of a category are one column."""
    features = [("age", "age"), ("age is missing", "age"), ("color=red", "color"), ("color=blue", "color")]
    task = RegressionTask(
        linear([2.0, 1.0, -3.0, 5.0]), target_mean=[100.0], target_std=[10.0], target_names=["price"]
    )
    rows = explainer(task, features, ExplainOptions(method="integrated_gradients"))
    (found,) = rows.explain(Sample("row 1", torch.tensor([0.5, 1.0, 0.0, 1.0]), torch.tensor([120.0])))
    assert found.parts == ["age", "color"] and found.values == pytest.approx([20.0, 50.0])
    assert (found.attribution.baseline_score, found.score) == pytest.approx((100.0, 170.0)) and abs(
        found.attribution.error
    ) < 1e-3
    assert found.cells == ["(missing)", "blue"] and found.target.truth == "120"
    assert rows.recompute(found) == pytest.approx(found.values)


def test_classes_of_a_single_logit_have_opposite_attributions() -> None:
    task = BinaryClassificationTask(linear([1.0, -2.0]), class_names=["no", "yes"])
    sample = Sample("row 1", torch.tensor([1.0, 1.0]))
    for target, sign in (("yes", 1), ("no", -1), (None, -1)):
        rows = explainer(task, [("a", "a"), ("b", "b")], ExplainOptions("integrated_gradients", target))
        assert rows.explain(sample)[0].values == pytest.approx([sign * 1.0, sign * -2.0])


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_informative_column_comes_first_on_a_split(kind, train) -> None:
    inputs = torch.randn((300, 5), generator=torch.Generator().manual_seed(1))
    signal = inputs[:, 3]
    if kind == "classes":
        targets = (signal > 0).long()
        model = train(nn.Linear(5, 2), lambda step: (inputs, targets), 60, lr=0.1)
        task = ClassificationTask(model, class_names=["low", "high"])
    else:
        targets = signal[:, None] * 4 + 7
        model = train(
            nn.Linear(5, 1), lambda step: (inputs, signal[:, None]), 100, nn.functional.mse_loss, 0.1
        )
        task = RegressionTask(model, target_mean=[7.0], target_std=[4.0])
    split = Split(ArraySource(inputs, targets), range(300))
    found = explainer(task, [(name, name) for name in "abcde"]).importance(split)
    assert found.metric == ("accuracy" if kind == "classes" else "R²") and found.score > 0.95
    assert (
        found.names[int(found.mean.argmax())] == "d"
        and found.mean[3] > 10 * np.abs(np.delete(found.mean, 3)).max()
    )


def test_options_without_effect_are_rejected() -> None:
    task = ClassificationTask(nn.Linear(2, 2), class_names=["a", "b"])
    with pytest.raises(UserError, match="leave INPUT out"):
        explainer(task, [("a", "a")], ExplainOptions("permutation"), given=True)
    with pytest.raises(UserError, match="--target would have no effect"):
        explainer(task, [("a", "a")], ExplainOptions("permutation", target="a"))
    assert explainer(task, [("a", "a")], given=True).method == "integrated_gradients"


@pytest.mark.parametrize(
    ("target", "said", "truth", "words"),
    [
        ("1", "1 98%", "1", "1 98%"),
        ("1", "10 98%", "10", "1 (predicted 10 98%), truth 10"),
        ("cat", "cat 60%, dog 10%", "", "cat 60%, dog 10%"),
        ("cat", "cat food 60%", "cat", "cat (predicted cat food 60%)"),
        ("price", "3.2", "", "price (predicted 3.2)"),
    ],
)
def test_caption_names_a_target_that_differs_from_the_prediction(target, said, truth, words) -> None:
    sample = Sample("row 1", torch.zeros(1))
    explained = ExplanationTarget(torch.sum, target, said, truth=truth)
    assert caption(Explanation(sample, explained, Attribution(np.zeros(1)))) == words


def test_features_name_their_columns() -> None:
    table = pd.DataFrame({"age": [1.0, None, 3.0], "color": ["red", "blue", "red"]})
    encoder = TableEncoder.fitted(table, ["age"], ["color"])
    assert dict(zip(encoder.feature_names, encoder.feature_columns, strict=True)) == {
        "age": "age", "age is missing": "age", "color=blue": "color", "color=red": "color",
    }  # fmt: skip
