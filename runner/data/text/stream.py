"""Windows of a continuous text in parallel streams, each read in order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runner.data.sampler import EpochBatchSampler, Share
from runner.data.text.corpus import TokenFileDataset

__all__ = ["StreamSampler", "StreamSplit"]


class StreamSampler(EpochBatchSampler):
    """Samples batches of keys ``(epoch, (first token, end, whether a stream begins))``.

    The text is divided into ``batch_size`` streams of equal length; batch k holds the k-th window of each, so
    that a recurrent state can be carried from batch to batch. With several ranks, each keeps its streams.

    Args:
        num_tokens: number of tokens of the text; the last one is a target only. Fewer than ``batch_size``
            tokens at the end are left out.
        window: number of tokens of a stream in a batch.
        batch_size: number of streams.
        **options: other arguments of ``EpochBatchSampler``.
    """

    def __init__(self, num_tokens: int, window: int, batch_size: int, **options: Any) -> None:
        self.length = (num_tokens - 1) // batch_size
        self.window = window
        super().__init__(batch_size * math.ceil(self.length / window), batch_size, **options)

    def __len__(self) -> int:
        return self.length // self.window if self.drop_last else math.ceil(self.length / self.window)

    def some(self, most: int) -> list[list[tuple[int, Any]]]:
        """Return the first windows of all streams, at most ``most``; a state is carried through them."""
        batches = list(islice(self._batches(0, 0), max(1, most // self.batch_size)))
        return [keys[:most] for keys in batches]

    def _batches(self, epoch: int, first: int) -> Iterator[list[tuple[int, Any]]]:
        for number in range(first, len(self)):
            begin = number * self.window
            end = min(begin + self.window, self.length)
            streams = (stream * self.length for stream in range(self.batch_size))
            keys: list[tuple[int, Any]] = [
                (epoch, (start + begin, start + end, number == 0)) for start in streams
            ]
            yield self.share(keys)


class StreamSplit(TokenFileDataset):
    """Windows of a file of token ids; targets are the inputs shifted by one token.

    A batch is ``{"inputs": (N, T), "targets": (N, T), "index": (N,), "first": bool, "num_chars": int}``:
    ``first`` is whether its streams begin, and ``num_chars`` the number of characters of the targets.

    Args:
        file: binary file of uint16 or uint32, the name of which is its suffix.
        window: number of tokens of a window.
        num_chars: number of characters of each token of the vocabulary.
        chars: file from ``write_char_counts`` with the number of characters of each token of the text, if it
            cannot be derived from the vocabulary.
    """

    def __init__(self, file: Path, window: int, num_chars: np.ndarray, chars: Path | None = None) -> None:
        super().__init__(file)
        self.window, self.num_chars = window, num_chars
        self.chars = TokenFileDataset(chars) if chars else None

    def __len__(self) -> int:
        return max(self.num_tokens - 1, 0) // self.window

    def name(self, index: int) -> str:
        """Return the name of a sample in messages."""
        return f"token {index}"

    def batch_sampler(self, batch_size: int, **options: Any) -> StreamSampler:
        """Return the batch sampler of the split, which never shuffles."""
        return StreamSampler(self.num_tokens, self.window, batch_size, **options | {"shuffle": False})

    def span(self, position: Any) -> tuple[int, int, bool]:
        """Return first token, last token + 1, and whether a stream begins.

        A plain number is the index of a window that is read independently of the others.
        """
        if isinstance(position, tuple):
            return position
        return position * self.window, (position + 1) * self.window, True

    def sample(self, epoch: int, position: Any) -> tuple[Tensor, Tensor]:
        """Return inputs and targets ``(T,)`` of a window."""
        begin, end, _ = self.span(position)
        tokens = torch.from_numpy(self.tokens[begin : end + 1].astype(np.int64))
        return tokens[:-1], tokens[1:]

    def __getitem__(self, key: Any) -> tuple[Tensor, Tensor]:
        return self.sample(*key) if isinstance(key, tuple) else self.sample(0, key)

    def __getitems__(self, keys: Sequence[tuple[int, Any]]) -> dict[str, Any]:
        spans = [self.span(position) for _, position in keys]
        rows = [self.tokens[begin : end + 1] for begin, end, _ in spans]
        tokens = torch.from_numpy(np.stack(rows).astype(np.int64))
        batch = {
            "inputs": tokens[:, :-1],
            "targets": tokens[:, 1:],
            "index": torch.tensor([begin for begin, _, _ in spans]),
            "first": spans[0][2],
            "num_chars": self.count_chars(spans, tokens[:, 1:]),
        }
        if isinstance(keys, Share):
            batch["weight"] = keys.weight
        return batch

    def count_chars(self, spans: Sequence[tuple[int, int, bool]], targets: Tensor) -> int:
        """Return the number of characters of the original text that the targets represent."""
        if self.chars is None:
            return int(self.num_chars[targets.numpy()].sum())
        return sum(int(self.chars.tokens[begin + 1 : end + 1].sum(dtype=np.int64)) for begin, end, _ in spans)
