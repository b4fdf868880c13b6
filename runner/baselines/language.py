"""An n-gram language model with interpolated Witten–Bell smoothing."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

__all__ = ["NGramModel"]


class NGramModel:
    """Predicts a token from the tokens before it.

    The probabilities of each order are interpolated with those of the next lower one, weighted by the number
    of different tokens that follow the context (Witten and Bell, IEEE Trans. Inf. Theory 37(4), 1991).

    Args:
        order: number of tokens in the longest context, plus one.
        vocab_size: number of tokens; the lowest order is uniform over them.
    """

    def __init__(self, order: int, vocab_size: int) -> None:
        self.order = order
        self.vocab_size = vocab_size
        self.counts: list[dict[tuple[int, ...], dict[int, int]]] = []

    def fit(self, tokens: np.ndarray) -> NGramModel:
        """Count the n-grams of a text of token ids, ``(T,)``."""
        ids = tokens.tolist()
        for length in range(self.order):
            counts: dict[tuple[int, ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
            for end in range(length, len(ids)):
                counts[tuple(ids[end - length : end])][ids[end]] += 1
            self.counts.append(counts)
        return self

    def nats(self, tokens: np.ndarray) -> float:
        """Return the summed negative log-likelihood of all tokens but the first."""
        ids = tokens.tolist()
        return -sum(math.log(self.probability(ids, end)) for end in range(1, len(ids)))

    def probability(self, ids: list[int], end: int) -> float:
        """Return the probability of ``ids[end]`` after the tokens before it."""
        value = 1.0 / self.vocab_size
        for length in range(min(self.order - 1, end) + 1):
            following = self.counts[length].get(tuple(ids[end - length : end]))
            if following is None:
                break
            total, kinds = sum(following.values()), len(following)
            value = (following.get(ids[end], 0) + kinds * value) / (total + kinds)
        return value
