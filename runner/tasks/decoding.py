"""Target sequences that a model finds likely: greedily, or by a beam.

A model gives ``encode(source) -> memory, state`` and ``decode(tokens, memory, state) -> logits, state, attention``;
memory is a tuple of tensors with the batch first, a state a tensor, or a tuple of tensors, with the batch second.
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
    """Of the token behind the last: ``(N, K)``, and the state there."""
    logits, state, _ = model.decode(tokens[:, -1:], memory, state)
    return writable(logits[:, -1]), state


def writable(logits: Tensor) -> Tensor:
    """Log-probabilities ``(…, K)`` among the tokens that a text may hold; the others have none."""
    return logits.float().index_fill(-1, torch.tensor(NEVER, device=logits.device), -torch.inf).log_softmax(-1)


def log_probs_of(model: Any, source: Tensor, tokens: Tensor) -> Tensor:
    """What a search finds at each step when it has written ``tokens`` ``(N, T)`` so far: ``(N, T, K)``."""
    begin = tokens.new_full((len(tokens), 1), BEGIN)
    return writable(model(source, torch.cat([begin, tokens[:, :-1]], 1)))


def greedy_search(model: Any, source: Tensor, max_steps: int | Tensor) -> list[list[int]]:
    """The likeliest token at each step, until the end token.

    Args:
        max_steps: tokens of a sequence at most; ``(N,)``, where each has a number of its own.
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
    """The likeliest of ``size`` sequences that are kept at each step; log-probabilities are divided by length^alpha.

    Sutskever, Vinyals, Le: Sequence to sequence learning with neural networks, 2014.

    Args:
        max_steps: as for ``greedy_search``.
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
        scores, places = total.topk(size, 1)
        width = log_probs.shape[1]
        came = (places // width + torch.arange(num, device=source.device)[:, None] * size).view(-1)
        chosen = (places % width).view(-1)
        tokens = torch.cat([tokens[came], chosen[:, None]], 1)
        state = zipped(lambda part, came=came: part[:, came], state)
        ended = ended[came] | (chosen == END) | (limits <= step)
        if ended.all():
            break
    lengths = (tokens[:, 1:] != PAD).sum(1).clamp(min=1).view(num, size)
    best = (scores / lengths**alpha).argmax(1) + torch.arange(num, device=source.device) * size
    return [until_end(row) for row in tokens[best, 1:].tolist()]


def until_end(tokens: list[int]) -> list[int]:
    return list(takewhile(lambda token: token not in (END, PAD), tokens))
