from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from runner.tasks.language_texts import PASSAGE_TOKENS, sampled_texts, surprising_passages


@pytest.fixture
def data() -> SimpleNamespace:
    """Two streams of 96 tokens in two batches; the token of number n is the letter n."""
    ids = torch.arange(192).reshape(2, 96) % 26
    batches = [{"inputs": half, "targets": half, "first": number == 0}
               for number, half in enumerate(ids.split(48, dim=1))]  # fmt: skip
    letters = [chr(97 + number) for number in range(26)]
    return SimpleNamespace(
        val_dataloader=lambda: iter(batches),
        decode=lambda numbers: "".join(letters[number] for number in numbers),
        tokenizer=SimpleNamespace(token=lambda number: letters[number]),
    )


def test_passages_are_sorted_by_their_loss(data: SimpleNamespace) -> None:
    def score(batch: dict) -> torch.Tensor:
        losses = torch.ones_like(batch["targets"], dtype=torch.float32) * math.log(2)
        losses[1] *= 1 if batch["first"] else 5
        return losses

    passages = surprising_passages(score, data)
    assert [entry["bits"] for entry in passages] == [5.0, 1.0, 1.0, 1.0]
    first = passages[0]["tokens"]
    assert len(first) == PASSAGE_TOKENS and first[0] == [chr(97 + (96 + 48) % 26), 5.0]


def test_a_text_for_each_temperature_continues_the_validation_split(data: SimpleNamespace) -> None:
    def generate(prompt, length, temperature, top_k, generator) -> torch.Tensor:
        return torch.full((1, length), 0 if temperature < 1 else 1)

    cold, warm = sampled_texts(generate, data, torch.device("cpu"))
    assert (cold["temperature"], warm["temperature"]) == (0.5, 1.0)
    assert cold["prompt"] == "abcdefghijklmnopqrstuvwx" and cold["text"].startswith(cold["prompt"])
    assert cold["text"].endswith("aaaa") and warm["text"].endswith("bbbb")
