"""Greedy and beam search for target sequences.

A model must provide ``encode(source) -> memory, state`` and ``decode(tokens, memory, state) -> logits, state,
attention``. Memory is a tuple of tensors with the batch as first dimension; a state is a tensor, or a tuple
of tensors, with the batch as second dimension.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from runner.tasks.language import zipped

__all__ = ["BEGIN", "END", "beam_search", "greedy_search", "log_probs_of", "writable"]

PAD, UNKNOWN, BEGIN, END = range(4)
NEVER = [PAD, UNKNOWN, BEGIN]


def next_log_probs(model: Any, tokens: Tensor, memory: Any, state: Any) -> tuple[Tensor, Any]:
    """Returns the log-probabilities of the next token, ``(N, K)``, and the new state."""
    logits, state, _ = model.decode(tokens[:, -1:], memory, state)
    return writable(logits[:, -1]), state


def writable(logits: Tensor) -> Tensor:
    """Returns log-probabilities ``(…, K)`` over the tokens that a text may contain; all others get -inf."""
    return (
        logits.float().index_fill(-1, torch.tensor(NEVER, device=logits.device), -torch.inf).log_softmax(-1)
    )


def log_probs_of(model: Any, source: Tensor, tokens: Tensor) -> Tensor:
    """Returns the log-probabilities that a search computes at each step of writing tokens, ``(N, T, K)``.

    Args:
        model: encoder and decoder.
        source: ``(N, S)``.
        tokens: the written tokens, ``(N, T)``.
    """
    begin = tokens.new_full((len(tokens), 1), BEGIN)
    return writable(model(source, torch.cat([begin, tokens[:, :-1]], 1)))


def greedy_search(model: Any, source: Tensor, max_steps: int | Tensor) -> list[list[int]]:
    """Decodes the most likely token at each step, until the end token.

    Args:
        model: encoder and decoder.
        source: ``(N, S)``.
        max_steps: maximum number of tokens; ``(N,)`` for one limit per sequence.
    """
    memory, state = model.encode(source)
    limits = torch.as_tensor(max_steps, device=source.device).expand(len(source))
    tokens = source.new_full((len(source), 1), BEGIN)
    ended = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    for step in range(1, int(limits.max()) + 1):
        log_probs, state = next_log_probs(model, tokens, memory, state)
        chosen = log_probs.argmax(-1).masked_fill(ended, PAD)
        tokens = torch.cat([tokens, chosen[:, None]], 1)
        ended |= (chosen == END) | (limits <= step)
        if ended.all():
            break
    return [until_end(row) for row in tokens[:, 1:].tolist()]


def beam_search(
    model: Any, source: Tensor, max_steps: int | Tensor, size: int = 4, alpha: float = 1.0
) -> list[list[int]]:
    """Decodes by beam search with ``size`` hypotheses; log-probabilities are divided by length^alpha.

    Sutskever, Vinyals, Le: Sequence to sequence learning with neural networks, 2014.

    Args:
        model: encoder and decoder.
        source: ``(N, S)``.
        max_steps: as for ``greedy_search``.
        size: number of hypotheses.
        alpha: exponent of the length normalization.
    """
    num = len(source)
    limits = torch.as_tensor(max_steps, device=source.device).expand(num).repeat_interleave(size)
    memory, state = model.encode(source)
    each = torch.arange(num, device=source.device).repeat_interleave(size)
    memory, state = type(memory)(*(part[each] for part in memory)), zipped(lambda part: part[:, each], state)
    tokens = source.new_full((num * size, 1), BEGIN)
    scores = torch.full((num, size), -torch.inf, device=source.device)
    scores[:, 0] = 0.0
    ended = torch.zeros(num * size, dtype=torch.bool, device=source.device)
    for step in range(1, int(limits.max()) + 1):
        log_probs, state = next_log_probs(model, tokens, memory, state)
        log_probs[ended] = -torch.inf
        log_probs[ended, PAD] = 0.0
        total = (scores.view(-1, 1) + log_probs).view(num, -1)
        scores, flat_index = total.topk(size, 1)
        width = log_probs.shape[1]
        parents = (flat_index // width + torch.arange(num, device=source.device)[:, None] * size).view(-1)
        chosen = (flat_index % width).view(-1)
        tokens = torch.cat([tokens[parents], chosen[:, None]], 1)
        state = zipped(lambda part, parents=parents: part[:, parents], state)
        ended = ended[parents] | (chosen == END) | (limits <= step)
        if ended.all():
            break
    lengths = (tokens[:, 1:] != PAD).sum(1).clamp(min=1).view(num, size)
    best = (scores / lengths**alpha).argmax(1) + torch.arange(num, device=source.device) * size
    return [until_end(row) for row in tokens[best, 1:].tolist()]


def until_end(tokens: list[int]) -> list[int]:
    return list(takewhile(lambda token: token not in (END, PAD), tokens))
