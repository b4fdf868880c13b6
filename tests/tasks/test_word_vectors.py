"""Word vectors: words of one kind come near each other; resuming."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from runner.data.text.word_pairs import WordPairsDataModule
from runner.models.skip_gram import SkipGram
from runner.tasks.word_vectors import WordVectorsTask, nearest_words, principal_plane

KINDS = {"fruit": ["apple", "pear", "plum", "cherry"], "metal": ["iron", "copper", "zinc", "silver"]}


@pytest.fixture
def text(tmp_path):
    random = np.random.default_rng(0)
    lines = [" ".join(random.choice(KINDS[kind], 12)) for kind in random.choice(list(KINDS), 300)]
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(lines))
    return path


def test_related_words_are_nearest(text, tmp_path):
    torch.manual_seed(0)
    data = WordPairsDataModule(str(text), window=3, frequent=0.5, data_dir=str(tmp_path), batch_size=256)
    data.setup("fit")
    task = WordVectorsTask(SkipGram(data.facts.num_outputs, 8))
    optimizer = torch.optim.Adam(task.parameters(), lr=0.02)
    for epoch in range(4):
        loader = data.train_dataloader()
        loader.batch_sampler.set_epoch(epoch)
        for batch in loader:
            optimizer.zero_grad()
            task.compute_loss(batch).loss.backward()
            optimizer.step()
    words = [data.tokenizer.token(number) for number in range(data.facts.num_outputs)]
    for names in KINDS.values():
        numbers = torch.tensor([words.index(name) for name in names])
        nearest, likeness = nearest_words(task.model.embedding.weight.detach(), numbers, 3)
        assert all(
            {words[n] for n in row} == {*names} - {name}
            for name, row in zip(names, nearest.tolist(), strict=True)
        )
        assert float(likeness.min()) > 0.5
    assert {name for name, _ in task.figures("val", data)} == {"neighbours", "projection"}


def test_loss_and_accuracy_match_their_definition():
    task = WordVectorsTask(SkipGram(9, 4))
    torch.nn.init.normal_(task.model.neighbours.weight)
    torch.nn.init.normal_(task.model.embedding.weight)
    words, candidates = torch.tensor([4, 5]), torch.tensor([[6, 7, 8], [4, 6, 7]])
    batch = {"inputs": words, "targets": candidates, "pair_weight": torch.tensor([0.5, 2.0])}
    step = task.compute_loss(batch)
    scores = (task.model.embedding.weight[words][:, None] * task.model.neighbours.weight[candidates]).sum(2)
    each = -torch.sigmoid(scores[:, 0]).log() - torch.sigmoid(-scores[:, 1:]).log().sum(1)
    assert step.loss.item() == pytest.approx(
        float((torch.tensor([0.5, 2.0]) * each).mean().detach()), rel=1e-5
    )
    task.update_metrics(step.outputs, "val")
    assert task.compute_metrics("val")["accuracy"] == float(
        (scores[:, :1] > scores[:, 1:]).all(1).float().mean()
    )


def test_pairs_with_an_unknown_word_are_ignored():
    task = WordVectorsTask(SkipGram(9, 1))
    task.model.embedding.weight.data[:] = 1.0
    task.model.neighbours.weight.data[:, 0] = torch.arange(9.0)
    batch = {
        "inputs": torch.tensor([4, 1, 5]), "targets": torch.tensor([[8, 7], [8, 7], [6, 7]]),
        "pair_weight": torch.tensor([1.0, 0.0, 1.0]),
    }  # fmt: skip
    task.update_metrics(task.compute_loss(batch).outputs, "val")
    assert task.compute_metrics("val")["accuracy"] == 0.5


def test_plane_has_the_largest_variance():
    vectors = np.random.default_rng(0).normal(size=(50, 5)) * [1, 9, 1, 4, 1]
    plane = principal_plane(vectors)
    assert abs(np.corrcoef(plane[:, 0], vectors[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(plane[:, 1], vectors[:, 3])[0, 1]) > 0.95


def test_resumed_equals_uninterrupted(text, tmp_path, assert_resumed_equals_uninterrupted):
    words = [
        "data=word_pairs",
        f"data.path={text}",
        f"data.data_dir={tmp_path}",
        "data.batch_size=400",
        "model.embed_dim=6",
    ]
    calm = assert_resumed_equals_uninterrupted([*words, "trainer.max_epochs=2"], (4, 10))
    assert {"val/accuracy", "test/loss"} <= {key for _, _, metrics in calm["points"] for key in metrics}
