"""Tokens, steps and variables that were planted are found."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from runner.errors import UserError
from runner.explain.options import ExplainOptions
from runner.explain.samples import Sample
from runner.explain.sequence import StepExplainer, TokenExplainer, TokenVectors
from runner.models.recurrent.network import LSTM
from runner.tasks.classification import ClassificationTask
from runner.tasks.forecasting import ForecastingTask
from runner.tasks.labelling import LabellingTask
from runner.tasks.language import LanguageTask

METHODS = ("integrated_gradients", "occlusion")
GOOD, BAD, WORDS = 4, 5, 24


def texts(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random words of which one determines the class: ids ``(N, 12)``, classes, position of the key word."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(6, WORDS, (count, 12), generator=generator)
    targets = torch.randint(2, (count,), generator=generator)
    places = torch.randint(12, (count,), generator=generator)
    ids[torch.arange(count), places] = torch.where(targets == 1, GOOD, BAD)
    return ids, targets, places


@pytest.fixture(scope="module")
def reader(train) -> ClassificationTask:
    torch.manual_seed(0)
    model = train(
        LSTM(2, vocab_size=WORDS, embed_dim=16, hidden_size=24), lambda step: texts(64, step)[:2], 120
    )
    return ClassificationTask(model, class_names=["bad", "good"]).eval()


def trained(task):
    """Task and data as a loaded run has them."""
    data = SimpleNamespace(
        tokenizer=SimpleNamespace(token=str),
        batch_inputs=torch.stack,
        on_after_batch_transfer=lambda batch, _: batch,
        encode=lambda text: [int(word) for word in text.split()],
    )
    return SimpleNamespace(task=task.eval(), data=data)


@pytest.mark.parametrize("method", METHODS)
def test_key_word_is_found(method, reader) -> None:
    ids, targets, places = texts(20, 999)
    explainer = TokenExplainer(trained(reader), ExplainOptions(method))
    hits = 0
    for row, target, place in zip(ids, targets.tolist(), places.tolist(), strict=True):
        (found,) = explainer.explain(Sample("text", row, torch.tensor(target)))
        assert (
            found.target.name == found.target.truth
            and len(found.values) == 12
            and found.parts == [str(i) for i in row.tolist()]
        )
        hits += int(found.values.argmax()) == place
        if method == "integrated_gradients":
            assert found.values.sum() == pytest.approx(
                found.score - found.attribution.baseline_score, abs=0.02
            )
            assert found.attribution.error == pytest.approx(0, abs=0.02)
    assert hits >= 18, hits


def test_key_word_is_negative_evidence_for_the_other_class(reader) -> None:
    (found,) = TokenExplainer(trained(reader), ExplainOptions(target="good")).explain(
        Sample("text", torch.tensor([7, BAD, 9]))
    )
    assert found.target.name == "good" and int(found.values.argmin()) == 1 and found.values[1] < 0


def test_embeddings_replace_their_tokens(reader) -> None:
    ids = torch.tensor([[GOOD, 8, 9]])
    score = TokenVectors(reader.model, lambda x: reader.model(x)[:, 1], ids)
    assert torch.equal(score(score.vectors, ids), reader.model(ids)[:, 1])
    assert not torch.equal(score(torch.zeros_like(score.vectors), ids), reader.model(ids)[:, 1])
    assert not reader.model.embedding._forward_hooks
    with pytest.raises(UserError, match="no torch.nn.Embedding"):
        TokenVectors(nn.Linear(3, 1), lambda x: x.float().sum(1), ids)


def test_each_label_has_token_attributions() -> None:
    """A model that labels a step by the token before it."""

    class Delayed(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(WORDS, 2)

        def forward(self, ids):
            return torch.roll(self.embedding(ids), 1, dims=1)

    task = LabellingTask(Delayed(), class_names=["a", "b"])
    sample = Sample("text", torch.tensor([5, 6, 7, 8]), torch.tensor([0, 1, 0, 1]))
    found = TokenExplainer(trained(task), ExplainOptions()).explain(sample)
    assert [one.target.step for one in found] == [1, 2, 3, 4] and [one.target.truth for one in found] == list(
        "abab"
    )
    assert all(np.abs(one.values).argmax() == (place - 1) % 4 for place, one in enumerate(found))
    (third,) = TokenExplainer(trained(task), ExplainOptions(step=3)).explain(sample)
    assert third.values == pytest.approx(found[2].values)
    with pytest.raises(UserError, match="--step 5: the sequence has 4 steps"):
        TokenExplainer(trained(task), ExplainOptions(step=5)).explain(sample)


def test_language_models_next_token() -> None:
    """A model whose next token is decided by the last one alone."""

    class LastAlone(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(WORDS, 8)
            self.head = nn.Linear(8, WORDS)

        def forward(self, ids, state=None, carry=False):
            return self.head(self.embedding(ids)), None

    task = LanguageTask(LastAlone())
    (found,) = TokenExplainer(trained(task), ExplainOptions(target="9")).explain(
        Sample("text", torch.tensor([5, 6, 7]))
    )
    assert (
        found.target.name == "'9'" and found.values[:2] == pytest.approx([0, 0]) and abs(found.values[2]) > 0
    )
    with pytest.raises(UserError, match="is 2 tokens"):
        TokenExplainer(trained(task), ExplainOptions(target="9 9")).explain(Sample("text", torch.tensor([5])))


LAG, STEPS = 5, 12


@pytest.mark.parametrize("method", METHODS)
def test_relevant_lag_and_variable_of_a_forecast_are_found(method, train) -> None:
    """The next value is what the second variable was five steps before it."""
    torch.manual_seed(0)

    def windows(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        past = torch.randn((128, STEPS, 3), generator=torch.Generator().manual_seed(seed))
        return past, past[:, STEPS - LAG, [1]]

    network = nn.Sequential(nn.Flatten(), nn.Linear(STEPS * 3, 24), nn.Tanh(), nn.Linear(24, 1))
    train(network, windows, 150, nn.functional.mse_loss)
    task = ForecastingTask(
        network, target_names=["sales"], target_mean=[50.0], target_std=[4.0], subtract_last=False
    )
    data = trained(task)
    data.data.names = ["sales", "driver", "noise"]
    past, targets = windows(10_001)
    explainer = StepExplainer(data, ExplainOptions(method))
    for row in torch.argsort(targets.abs()[:, 0], descending=True)[:6].tolist():
        (found,) = explainer.explain(Sample("window", past[row], 50 + 4 * targets[row][None]))
        assert np.unravel_index(np.abs(found.values).argmax(), found.values.shape) == (STEPS - LAG, 1)
        assert found.values[STEPS - LAG, 1] == pytest.approx(
            4 * targets[row, 0].item(), rel=0.3
        )  # in the data's unit
        assert found.target.name == "sales, one step ahead" and found.parts == data.data.names
        if method == "integrated_gradients":
            assert found.values.sum() == pytest.approx(
                found.score - found.attribution.baseline_score, abs=0.05
            )


def test_padding_steps_are_excluded() -> None:
    torch.manual_seed(0)
    task = ClassificationTask(LSTM(2, num_features=3, hidden_size=5), class_names=["a", "b"])
    sound = torch.randn(6, 3)
    padded = torch.cat([sound, torch.full((4, 3), torch.nan)])
    whole, cut = (
        StepExplainer(trained(task), ExplainOptions()).explain(Sample("s", part))[0]
        for part in (padded, sound)
    )
    assert whole.values.shape == (6, 3) and whole.values == pytest.approx(cut.values)
