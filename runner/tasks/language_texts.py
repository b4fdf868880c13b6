"""Texts about a trained language model for the report page: samples, and surprising passages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["sampled_texts", "surprising_passages"]

TEMPERATURES = (0.5, 1.0)
PROMPT_TOKENS = 24
SAMPLE_TOKENS = 400
MAX_BATCHES = 8
"""Number of validation batches in which passages are searched."""
PASSAGE_TOKENS = 48
NUM_PASSAGES = 5

Score = Callable[[dict[str, Any]], Tensor]
"""Returns the loss of each token of a batch in nats, ``(N, T)``; called with consecutive batches."""


def sampled_texts(generate: Callable[..., Tensor], data: Any, device: torch.device) -> list[dict[str, Any]]:
    """Return a text for each temperature, which continues the beginning of the validation split.

    Args:
        generate: continues prompts, as ``TaskHooks.generate``.
        data: the data module of a running text.
        device: the device of the model.
    """
    batch = next(iter(data.val_dataloader()))
    ids = batch["inputs"][0, :PROMPT_TOKENS].tolist()
    prompt = torch.tensor([ids], device=device)
    texts = []
    for temperature in TEMPERATURES:
        generator = torch.Generator().manual_seed(0)
        tokens = generate(prompt, SAMPLE_TOKENS, temperature, None, generator)[0].tolist()
        texts.append(
            {"temperature": temperature, "prompt": data.decode(ids), "text": data.decode([*ids, *tokens])}
        )
    return texts


def surprising_passages(score: Score, data: Any) -> list[dict[str, Any]]:
    """Return the passages of the validation split with the highest mean loss, the most surprising first.

    Args:
        score: computes the loss of each token.
        data: the data module of a running text.

    Returns:
        Each passage with its mean and, under ``tokens``, each token with its loss, in bits.
    """
    targets, losses = [], []
    for number, batch in enumerate(data.val_dataloader()):
        if number == MAX_BATCHES:
            break
        targets.append(batch["targets"])
        losses.append(score(batch).cpu() / math.log(2))
    ids, bits = torch.cat(targets, 1), torch.cat(losses, 1)  # (streams, tokens)
    width = min(PASSAGE_TOKENS, bits.shape[1])
    means = bits.unfold(1, width, width).mean(-1)  # passages do not overlap
    order = means.flatten().argsort(descending=True)[:NUM_PASSAGES].tolist()
    starts = [(index // means.shape[1], index % means.shape[1] * width) for index in order]
    return [passage(data, ids[row, at : at + width], bits[row, at : at + width]) for row, at in starts]


def passage(data: Any, ids: Tensor, bits: Tensor) -> dict[str, Any]:
    tokens: Sequence[int] = ids.tolist()
    words = [data.tokenizer.token(number) for number in tokens]
    losses = [round(value, 2) for value in bits.tolist()]
    return {
        "bits": round(float(bits.mean()), 2),
        "tokens": [list(pair) for pair in zip(words, losses, strict=True)],
    }
