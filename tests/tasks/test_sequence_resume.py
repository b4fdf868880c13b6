"""Trainings of sequences that break off go on as if nothing had been, a carried state included."""

from __future__ import annotations

from pathlib import Path

import pytest

COMMON = ["model.hidden_size=8", "trainer.max_epochs=2", "regularization.dropout=0.2"]
KINDS = {
    "classification": [
        "data=brackets",
        "data.num_samples=60",
        "data.batch_size=8",
        "model.pooling=attention",
    ],
    "labelling": ["data=bracket_depth", "data.num_samples=60", "data.batch_size=8", "model=gru"],
    "language": [
        "data=text_file",
        "data.path=poem.txt",
        "data.window=16",
        "data.batch_size=4",
        "model.num_layers=2",
    ],
    "language, workers": [
        "data=text_file",
        "data.path=poem.txt",
        "data.window=16",
        "data.batch_size=4",
        "data.num_workers=2",
        "+trainer.accumulate_grad_batches=2",
        "model=rnn",
    ],
    "seq2seq": [
        "data=dates",
        "data.num_train=40",
        "data.num_val=6",
        "data.num_test=6",
        "data.batch_size=8",
        "model.embed_dim=8",
        "regularization.label_smoothing=0.1",
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_equals_uninterrupted(kind, tmp_path, monkeypatch, assert_resumed_equals_uninterrupted):
    """Killed in the first and in the second epoch, between checkpoints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNNER_DATA", str(tmp_path / "cache"))
    Path("poem.txt").write_text("".join(f"Line {i} of a ballad\n\n" for i in range(30)))
    calm = assert_resumed_equals_uninterrupted([*COMMON, *KINDS[kind]], lambda steps: (4, steps - 1))
    assert calm["points"][-1][0] >= 8
