"""A class for each step: metrics against a plain reference, and the error for an unsuitable model."""

from __future__ import annotations

import pytest
import torch
from sklearn import metrics as sk
from torch import nn

from runner.data.facts import Facts
from runner.data.text.brackets import BracketDepthDataModule
from runner.errors import DataError, UserError
from runner.models.recurrent.network import LSTM
from runner.tasks.labelling import LabellingTask


def test_padding_is_excluded_from_loss_and_metrics():
    torch.manual_seed(0)
    logits, targets = torch.randn(6, 5, 3), torch.randint(3, (6, 5))
    for row, length in enumerate((5, 4, 3, 2, 1, 5)):
        targets[row, length:] = -100
    there = targets != -100
    model = nn.Identity()
    task = LabellingTask(model, class_names=["a", "b", "c"])
    step = task.compute_loss({"inputs": logits, "targets": targets})
    assert step.loss == pytest.approx(float(nn.CrossEntropyLoss()(logits[there], targets[there])))
    assert task.batch_count({"targets": targets}) == int(there.sum()) == 20
    task.update_metrics(step.outputs, "val")
    found = {name: float(value) for name, value in task.compute_metrics("val").items()}
    preds, truth = logits.argmax(-1)[there].numpy(), targets[there].numpy()
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(truth, preds))
    assert found["f1_macro"] == pytest.approx(sk.f1_score(truth, preds, average="macro"), abs=1e-6)
    whole = ((logits.argmax(-1) == targets) | ~there).all(1).float().mean()
    assert found["sequence_accuracy"] == pytest.approx(float(whole))
    assert [steps.shape[1] for steps in step.outputs["steps"]] == [5, 4, 3, 2, 1, 5]


def test_overfits_one_batch():
    torch.manual_seed(0)
    data = BracketDepthDataModule(num_samples=40, batch_size=16)
    data.setup()
    batch = next(iter(data.train_dataloader()))
    facts = data.facts
    model = LSTM(facts.num_outputs, vocab_size=facts.extra["vocab_size"], per_step=True, hidden_size=48)
    LabellingTask.check_model(model, facts)
    task = LabellingTask(model, class_names=facts.class_names)
    optimizer = torch.optim.Adam(task.parameters(), lr=2e-2)
    for _ in range(60):
        optimizer.zero_grad()
        task.compute_loss(batch).loss.backward()
        optimizer.step()
    task.update_metrics(task.compute_loss(batch).outputs, "val")
    assert task.compute_metrics("val")["accuracy"] > 0.99
    text = data.text_of("train", int(batch["index"][0]))
    (_, ids), (_, other) = data.read_inputs([text, text[:3]])
    rows = task.rows(task.predict_outputs(data.batch_inputs([ids, other])))
    assert rows[0]["labels"] == [facts.class_names[i] for i in batch["targets"][0, : len(text)].tolist()]
    assert len(rows[1]["labels"]) == 3


def test_other_data_and_models_are_rejected():
    facts = Facts("labelling", (7,), 3, class_names=["a", "b", "c"])
    with pytest.raises(UserError, match=r"returns \(1, 3\).*expects \(1, 7, 3\)"):
        LabellingTask.check_model(LSTM(3, vocab_size=5), facts)
    with pytest.raises(UserError, match="cannot take the sequences"):
        LabellingTask.check_model(nn.Linear(5, 3), facts)
    with pytest.raises(DataError, match="Use task=classification"):
        LabellingTask.adapt_facts(Facts("classification", (7,), 3))
