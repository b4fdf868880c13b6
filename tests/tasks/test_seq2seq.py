"""Pairs of sequences: overfitting, and the scores of sacrebleu."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from sacrebleu import corpus_bleu
from torch import nn

from runner.data.facts import Facts
from runner.data.text.dates import DatesDataModule
from runner.errors import DataError, UserError
from runner.models.recurrent.seq2seq import Seq2Seq
from runner.tasks.seq2seq import Seq2SeqTask
from runner.tasks.seq2seq_figures import attention_of


def test_overfits_one_batch_and_decodes_it():
    torch.manual_seed(0)
    data = DatesDataModule(num_train=16, num_val=4, num_test=0, batch_size=16)
    data.setup()
    model = Seq2Seq(data.facts.num_outputs, data.facts.extra["vocab_size"], embed_dim=32, hidden_size=64)
    Seq2SeqTask.check_model(model, data.facts)
    task = Seq2SeqTask(model, beam_size=3)
    task.decode = data.decode
    batch = next(iter(data.train_dataloader()))
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    for _ in range(80):
        optimizer.zero_grad()
        task.compute_loss(batch).loss.backward()
        optimizer.step()
    task.eval()
    assert task.texts(batch["inputs"], 1) == batch["references"]
    rows = task.rows(task.predict_outputs(batch["inputs"]))
    assert [row["text"] for row in rows] == batch["references"]


def test_bleu_and_loss_are_computed_over_the_whole_split():
    torch.manual_seed(0)
    data = DatesDataModule(num_train=16, num_val=10, num_test=0, eval_batch_size=4)
    data.setup()
    task = Seq2SeqTask(Seq2Seq(data.facts.num_outputs, data.facts.extra["vocab_size"], hidden_size=8).eval())
    task.decode = data.decode
    task._trainer = SimpleNamespace(state=SimpleNamespace(fn="test"))
    batches = list(data.val_dataloader())
    for batch in batches:
        task._evaluate(batch, "val")
    said = [text for batch in batches for text in task.texts(batch["inputs"], 1)]
    references = [text for batch in batches for text in batch["references"]]
    count = sum(int((batch["targets"][:, 1:] != 0).sum()) for batch in batches)
    assert task._loss_count == count
    found = task.compute_metrics("val")
    assert found["bleu"] == pytest.approx(corpus_bleu(said, [references]).score)
    assert "bleu_beam" in found and found["exact_match"] == 0


class Endless(nn.Module):
    """Says 4 for ever."""

    def encode(self, source):
        return (source,), torch.zeros(1, len(source), 1)

    def decode(self, tokens, memory, state):
        return nn.functional.one_hot(torch.full_like(tokens, 4), 6) * 1e3, state, None


@pytest.mark.parametrize("beam_size", [1, 3])
def test_length_limit_is_independent_of_the_batch(beam_size):
    task = Seq2SeqTask(Endless())
    task.decode = len
    assert task.texts(torch.tensor([[5, 5, 0, 0, 0, 0], [5] * 6]), beam_size) == [14, 22]


def test_other_data_and_models_are_rejected():
    facts = Facts("seq2seq", (7,), 11, extra={"vocab_size": 9})
    with pytest.raises(UserError, match="is not a sequence-to-sequence model"):
        Seq2SeqTask.check_model(nn.Linear(3, 3), facts)
    with pytest.raises(DataError, match="Use task=classification"):
        Seq2SeqTask.adapt_facts(Facts("classification", (7,), 2))


def test_attention_covers_the_output_tokens():
    torch.manual_seed(0)
    data = DatesDataModule(num_train=16, num_val=4, num_test=0)
    data.setup()
    task = Seq2SeqTask(
        Seq2Seq(data.facts.num_outputs, data.facts.extra["vocab_size"], hidden_size=8), max_steps=2
    ).eval()
    source, told, attention = attention_of(task, data, data.splits["val"].source[0][0])
    assert len(told) == 3 and attention.shape == (3, len(source))
