"""Vectors of samples and of words, as files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from runner.cli import main
from runner.errors import UserError
from runner.inference.embed import Embedded, write_embedded
from runner.tasks.embedding import LastLinearInput
from tests.overrides import QUIET


@pytest.fixture
def trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNNER_DATA", str(tmp_path / "cache"))
    quiet = [
        *QUIET,
        "hardware=cpu",
        "trainer.max_epochs=1",
        "run.name=r",
    ]

    def train(*words):
        assert main(["train", *quiet, *words]) == 0
        return tmp_path

    return train


def test_samples_of_a_classifier(trained, capsys):
    folder = trained("data=digits", "model.hidden_sizes=[16]")
    assert main(["embed", "r", "--output", "e", "--limit", "50"]) == 0
    assert "50 vectors of size 16" in capsys.readouterr().out
    vectors = np.loadtxt(folder / "e" / "vectors.tsv", delimiter="\t")
    lines = (folder / "e" / "metadata.tsv").read_text().splitlines()
    assert vectors.shape == (50, 16) and (vectors >= 0).all()  # behind a ReLU
    assert lines[0] == "name\tlabel" and len(lines) == 51 and lines[1].startswith("digit ")
    assert {"pca.png", "tsne.png"} <= {path.name for path in (folder / "e").iterdir()}
    assert main(["embed", "r", "--tokens"]) == 2
    assert "has no table of tokens" in capsys.readouterr().err
    assert main(["embed", "r", "--split", "tset"]) == 2
    assert main(["embed", "r", "--limit", "1"]) == 2


def test_words_of_word_vectors(trained, capsys, tmp_path):
    (tmp_path / "t.txt").write_text("\n\n".join(["one two three four five six seven"] * 80))
    folder = trained("data=word_pairs", "data.path=t.txt", "model.embed_dim=5")
    capsys.readouterr()
    assert main(["embed", "r", "--tokens", "--output", "e"]) == 0
    assert (folder / "e" / "metadata.tsv").read_text().split() == [
        "five", "four", "one", "seven", "six", "three", "two"
    ]  # fmt: skip
    assert main(["predict", "r", "one"]) == 0
    assert main(["embed", "r"]) == 2


def test_last_linear_layer_of_the_forward_pass_is_used():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    inputs = torch.randn(5, 3)
    with LastLinearInput(model) as last:
        model(inputs)
        assert torch.equal(last.take(5), model[1](model[0](inputs)))
    assert not model[0]._forward_pre_hooks


def test_too_few_vectors_to_plot(tmp_path):
    with pytest.raises(UserError, match="2 vectors of 5 numbers"):
        write_embedded(Embedded(np.zeros((2, 5)), {"name": ["a", "b"]}), tmp_path)
