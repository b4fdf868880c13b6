"""Pairs of words that stand near each other, for word vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runner.data.sampler import EpochBatchSampler, Share, seed_of
from runner.data.text.token_file import TokenFileDataset
from runner.data.text.tokenizer import SPECIAL

__all__ = ["NeighbourSplit", "uniform"]

NEGATIVE_POWER = 0.75
"""Of the words' frequencies, from which the false neighbours are drawn."""


def uniform(seed: int, epoch: int, positions: np.ndarray, num_draws: int) -> np.ndarray:
    """Numbers of 0 to 1 that depend on seed, epoch, position and number of the draw alone, ``(N, num_draws)``.

    SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) over a counter.
    """
    start = np.uint64(seed_of(seed, "pairs", epoch))
    with np.errstate(over="ignore"):
        counter = positions.astype(np.uint64)[:, None] * np.uint64(num_draws) + np.arange(
            num_draws, dtype=np.uint64
        )
        state = start + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)) / float(1 << 53)


class NeighbourSplit(TokenFileDataset):
    """Each word of a text with one of its neighbours and some false ones.

    A batch is ``{"inputs": (N,), "targets": (N, 1 + k), "pair_weight": (N,), "index": (N,)}``: words, a neighbour and
    then k words drawn by their frequencies, and how much the pair counts: frequent words count less. Where the
    original leaves words out at random, their share of it is the weight, which comes to the same on average.

    Args:
        file: token ids, uint16 or uint32 as its suffix says; it is mapped, not read.
        counts: of each token in the training text, ``(V,)``.
        window: maximum distance of a context word; nearer words are drawn more often.
        num_negatives: k.
        frequent: words rarer than this share of the text count in full (Mikolov et al., arXiv:1310.4546).
        fixed: draws the same in every epoch, for validation.
    """

    def __init__(
        self,
        file: Path,
        counts: np.ndarray,
        window: int,
        num_negatives: int,
        frequent: float,
        seed: int,
        fixed: bool,
    ):
        super().__init__(file)
        self.window, self.num_negatives, self.seed, self.fixed = window, num_negatives, seed, fixed
        counts = counts.astype(np.float64).copy()
        counts[: len(SPECIAL)] = 0
        share = counts / counts.sum()
        self.keep = np.where(counts > 0, np.minimum(1.0, np.sqrt(frequent / np.maximum(share, 1e-12))), 0.0)
        self.mean_weight = float(share @ self.keep) ** 2
        self.ladder = np.cumsum(share**NEGATIVE_POWER)
        self.ladder /= self.ladder[-1]

    def __len__(self) -> int:
        return self.num_tokens if self.num_tokens > 1 else 0

    def name(self, index: int) -> str:
        return f"word {index + 1}"

    def batch_sampler(self, batch_size: int, **options: Any) -> EpochBatchSampler:
        return EpochBatchSampler(len(self), batch_size, **options)

    def sample(self, epoch: int, position: int) -> tuple[Tensor, Tensor]:
        batch = self.__getitems__([(epoch, position)])
        return batch["inputs"][0], batch["targets"][0]

    def __getitem__(self, key: Any) -> tuple[Tensor, Tensor]:
        return self.sample(*key) if isinstance(key, tuple) else self.sample(0, key)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> dict[str, Any]:
        positions = np.array([position for _, position in keys])
        epoch = 0 if self.fixed else keys[0][0]
        draws = uniform(self.seed, epoch, positions, 3 + self.num_negatives)
        reach = 1 + np.floor(draws[:, 0] * self.window)
        away = (1 + np.floor(draws[:, 1] * reach)).astype(np.int64) * np.where(draws[:, 2] < 0.5, -1, 1)
        away = np.where((positions + away < 0) | (positions + away >= self.num_tokens), -away, away)
        words = self.tokens[positions].astype(np.int64)
        near = self.tokens[np.clip(positions + away, 0, self.num_tokens - 1)].astype(np.int64)
        far = np.searchsorted(self.ladder, draws[:, 3:], side="right")
        weight = self.keep[words] * self.keep[near] / self.mean_weight
        batch = {
            "inputs": torch.from_numpy(words),
            "targets": torch.from_numpy(np.concatenate([near[:, None], far], 1)),
            "pair_weight": torch.from_numpy(weight).float(),
            "index": torch.from_numpy(positions),
        }
        if isinstance(keys, Share):
            batch["weight"] = keys.weight
        return batch
