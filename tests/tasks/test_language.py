"""Language models: carried state, perplexity, generation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from runner.data.facts import Facts
from runner.data.text.language import LanguageDataModule
from runner.errors import DataError, UserError
from runner.models.recurrent.network import GRU, LSTM
from runner.tasks.language import LanguageTask, share
from runner.tasks.sampling import draw

VOCAB = 12


def model(**options) -> LSTM:
    torch.manual_seed(0)
    return LSTM(VOCAB, vocab_size=VOCAB, per_step=True, hidden_size=16, **options).eval()


def windows(tokens: torch.Tensor, size: int) -> list[dict]:
    starts = range(0, tokens.shape[1] - 1, size)
    ends = [min(start + size, tokens.shape[1] - 1) for start in starts]
    return [
        {
            "inputs": tokens[:, a:b],
            "targets": tokens[:, a + 1 : b + 1],
            "first": a == 0,
            "num_chars": 2 * (b - a) * len(tokens),
        }
        for a, b in zip(starts, ends, strict=True)
    ]


@pytest.mark.parametrize("size", [5, 64])
def test_perplexity_does_not_depend_on_the_windows(size):
    tokens = torch.randint(4, VOCAB, (3, 24))
    task = LanguageTask(model())
    logits = task.model(tokens[:, :-1])
    reference = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    for batch in windows(tokens, size):
        task._evaluate(batch, "val")
    found = task.compute_metrics("val")
    assert found["perplexity"] == pytest.approx(math.exp(reference), rel=1e-5)
    assert found["bits_per_character"] == pytest.approx(float(reference) / math.log(2) / 2, rel=1e-5)


def test_training_carries_the_state_without_gradients():
    task = LanguageTask(model())
    first, second = windows(torch.randint(4, VOCAB, (2, 11)), 5)
    task.training_step(first, 0)
    state = task.carried
    assert all(not part.requires_grad for part in state)
    carried = task.training_step(second, 1)
    assert torch.equal(carried, nn.functional.cross_entropy(
        task.model(second["inputs"], state, True)[0].flatten(0, 1), second["targets"].flatten()))  # fmt: skip
    task.carried = tuple(part + 1 for part in state)
    assert torch.equal(task.training_step(first, 0), LanguageTask(task.model).training_step(first, 0))


def test_checkpointed_state_is_split_over_ranks_like_the_streams():
    whole = torch.arange(2 * 5 * 3.0).view(2, 5, 3)
    parts = [share(whole, rank, 2) for rank in range(2)]
    assert [part.shape[1] for part in parts] == [2, 3] and torch.equal(torch.cat(parts, 1), whole)
    task = LanguageTask(model())
    task.training_step(windows(torch.randint(4, VOCAB, (2, 6)), 5)[0], 0)
    checkpoint: dict = {}
    task.on_save_checkpoint(checkpoint)
    other = LanguageTask(model())
    other.on_load_checkpoint(checkpoint)
    assert all(torch.equal(a, b) for a, b in zip(other.carried, task.carried, strict=True))


def test_models_that_look_ahead_or_are_not_language_models_are_rejected():
    facts = Facts("language", (8,), VOCAB, extra={"vocab_size": VOCAB})
    LanguageTask.check_model(model(), facts)
    LanguageTask.check_model(GRU(VOCAB, vocab_size=VOCAB, per_step=True), facts)
    with pytest.raises(UserError, match="reads ahead.*bidirectional=false"):
        LanguageTask.check_model(model(bidirectional=True), facts)
    with pytest.raises(UserError, match="is not a language model"):
        LanguageTask.check_model(nn.Linear(3, VOCAB), facts)
    with pytest.raises(DataError, match="Use task=classification"):
        LanguageTask.adapt_facts(Facts("classification", (8,), 2))


def test_sampling_uses_temperature_and_top_k():
    logits = torch.full((2000, VOCAB), -4.0)
    logits[:, 0] = 9.0  # padding is never written
    logits[:, 7], logits[:, 8], logits[:, 9] = 2.0, 1.0, 0.0
    generator = torch.Generator().manual_seed(0)
    assert set(draw(logits, 0, None, None).flatten().tolist()) == {7}
    assert set(draw(logits, 1.0, 2, generator).flatten().tolist()) == {7, 8}
    counts = draw(logits, 1.0, None, generator).flatten().bincount(minlength=VOCAB)
    assert counts[:4].sum() == 0
    assert counts[8] / counts[7] == pytest.approx(math.exp(-1), rel=0.2)
    colder = draw(logits, 0.5, None, generator).flatten().bincount(minlength=VOCAB)
    assert colder[8] / colder[7] == pytest.approx(math.exp(-2), rel=0.4)


def test_overfits_one_text_and_generates_it(tmp_path):
    poem = "Twas brillig, and the slithy toves did gyre and gimble in the wabe.\n\n" * 12
    (tmp_path / "poem.txt").write_text(poem)
    data = LanguageDataModule(str(tmp_path / "poem.txt"), window=16, batch_size=2, data_dir=str(tmp_path))
    data.setup()
    torch.manual_seed(0)
    size = data.facts.num_outputs
    task = LanguageTask(LSTM(size, vocab_size=size, per_step=True, hidden_size=64))
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    for _ in range(5):
        for number, batch in enumerate(data.train_dataloader()):
            optimizer.zero_grad()
            task.training_step(batch, number).backward()
            optimizer.step()
    prompt = torch.tensor([data.encode("Twas bril")])
    written = data.decode(task.generate(prompt, 40, temperature=0)[0].tolist())
    assert poem.startswith("Twas bril" + written)
    draws = [
        task.generate(prompt, 20, 1.0, None, torch.Generator().manual_seed(3)).tolist() for _ in range(2)
    ]
    assert draws[0] == draws[1]
